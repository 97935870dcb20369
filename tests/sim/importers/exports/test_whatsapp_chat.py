"""WhatsApp's exported chats: forms of dates, authors, media, notices, and lines that only look like messages."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sim.importers.base import ImportFailedError
from sim.importers.formats.whatsapp_chat.headers import read_header
from sim.importers.formats.whatsapp_chat.importer import BEFORE_FIRST, NOBODY, NOTICES, WEBHOOK, WhatsAppChats
from sim.importers.sources import Meter, sources_of
from tests.sim.importers.exports.reading import Outcome, detected, imported, source_of, utc_ms

LRM, RLM, NARROW = "\u200e", "\u200f", "\u202f"
BOT = {"bots": frozenset({"Loja"})}


def read(chat: str, **given: Any) -> Outcome:
    return imported(WhatsAppChats(), chat, **(BOT | given))


def texts(chat: str, **given: Any) -> list[str]:
    return [message.text for message in read(chat, **given).messages]


def times(chat: str, **given: Any) -> list[int]:
    return [message.at for message in read(chat, **given).messages]


@pytest.mark.parametrize(
    ("header", "at"),
    [
        ("[17/09/2024, 21:40:05] ", "2024-09-17 21:40:05"),
        ("[17/09/24, 9:40:05 PM] ", "2024-09-17 21:40:05"),
        ("[9/17/24, 9:40:05\u202fPM] ", "2024-09-17 21:40:05"),
        ("[17.09.24, 21:40:05] ", "2024-09-17 21:40:05"),
        ("[17.9.2024 klo 21.40.05] ", "2024-09-17 21:40:05"),
        ("[2024-09-17, 21:40:05] ", "2024-09-17 21:40:05"),
        ("[2024/09/17 21:40:05] ", "2024-09-17 21:40:05"),
        ("[21:40:05, 17/9/2024] ", "2024-09-17 21:40:05"),
        ("[17-09-2024 21:40:05] ", "2024-09-17 21:40:05"),
        ("\u200e[17/09/2024, 21:40:05] ", "2024-09-17 21:40:05"),
        ("[\u200f17\u200f/9\u200f/2024، 21:40:05] ", "2024-09-17 21:40:05"),
        ("[١٧\u200f/٩\u200f/٢٠٢٤، ٩:٤٠:٠٥\u00a0م] ", "2024-09-17 21:40:05"),
        ("[۲۰۲۴/۹/۱۷،\u200f ۹:۴۰:۰۵ ب.ظ.] ", "2024-09-17 21:40:05"),
        ("[17/09/2024 下午9:40:05] ", "2024-09-17 21:40:05"),
        ("[2024/9/17 午後9:40:05] ", "2024-09-17 21:40:05"),
        ("[2024. 9. 17. 오후 9:40:05] ", "2024-09-17 21:40:05"),
        ("[9/17/2567 BE, 21:40:05] ", "2024-09-17 21:40:05"),
        ("[9/17/R6, 21:40:05] ", "2024-09-17 21:40:05"),
        ("[۱۴۰۳/۶/۲۷،\u200f ۲۱:۴۰:۰۵] ", "2024-09-17 21:40:05"),
        ("[27/6/1403, 21:40:05] ", "2024-09-17 21:40:05"),
        ("[14/3/1446, 21:40:05] ", "2024-09-17 21:40:05"),
        ("[17/9/24, 9:40:05 μ.μ.] ", "2024-09-17 21:40:05"),
        ("[17/9/24, 9:40:05 ÖS] ", "2024-09-17 21:40:05"),
        ("[17/9/24, 12:40:05 a.\u00a0m.] ", "2024-09-17 00:40:05"),
        ("[17/9/24, 12:40:05 p. m.] ", "2024-09-17 12:40:05"),
        ("17/09/2024, 21:40 - ", "2024-09-17 21:40:00"),
        ("17/09/2024 21:40 - ", "2024-09-17 21:40:00"),
        ("١٧/٩/٢٠٢٤، ٩:٤٠ م - ", "2024-09-17 21:40:00"),
        ("\u200f١٧\u200f/٩\u200f/٢٠٢٤، ٩:٤٠\u00a0م - ", "2024-09-17 21:40:00"),
        ("۲۰۲۴/۹/۱۷،\u200f ۲۱:۴۰ - ", "2024-09-17 21:40:00"),
        ("17.9.2024, 21:40 - \u200f", "2024-09-17 21:40:00"),
        ("17/9/67 21:40 - ", "2024-09-17 21:40:00"),
        ("17/9/2567 21:40 - ", "2024-09-17 21:40:00"),
        ("17/9/24, 9:40 अपराह्न - ", "2024-09-17 21:40:00"),
        ("17/9/2024 9:40 SA - ", "2024-09-17 09:40:00"),
        ("17/09/24, 9:40 p.\u00a0m. - ", "2024-09-17 21:40:00"),
        ("9/17/24, 9:40\u202fPM - ", "2024-09-17 21:40:00"),
        ("17/9/24, 9:40 in the evening - ", "2024-09-17 21:40:00"),
        ("17.09.24, 21:40 - ", "2024-09-17 21:40:00"),
        ("17.09.24 г., 21:40 ч. - ", "2024-09-17 21:40:00"),
        ("17/09/2024 à 21:40 - ", "2024-09-17 21:40:00"),
        ("17/09/2024 às 21:40 – ", "2024-09-17 21:40:00"),
        ("2024-09-17 21:40 - ", "2024-09-17 21:40:00"),
        ("2024-09-17 21 h 40 - ", "2024-09-17 21:40:00"),
        ("2024년 9월 17일 오후 9:40, ", "2024-09-17 21:40:00"),
        ("2024年9月17日 21:40 - ", "2024-09-17 21:40:00"),
        ("17. 9. 2024 21:40 - ", "2024-09-17 21:40:00"),
        ("17/9/2024 9.40 PM - ", "2024-09-17 21:40:00"),
        ("9/17/24, 9:40:05 PM: ", "2024-09-17 21:40:05"),
        ("17.09.24 21.40.05: ", "2024-09-17 21:40:05"),
    ],
)
def test_dates_of_every_form_are_read(header: str, at: str) -> None:
    chat = f"{header}Rita: oi\n{header}Loja: olá\n{header}Rita: tudo bem?\n"
    outcome = read(chat)
    assert [message.at for message in outcome.messages] == [utc_ms(at)] * 2
    assert len(outcome.replies) == 1
    assert outcome.precisions == {"min" if at.endswith(":00") else "s"}
    assert detected(chat)[0] == "whatsapp-chat"


@pytest.mark.parametrize(
    "line",
    [
        f"{opening}{date}{comma} {time}{closing}Rita: oi\n"
        for opening, closing in (("[", "] "), ("", " - "), ("[", "]"), ("", " -"))
        for date in ("17/09/2024", "17.9.24", "2024-09-17", "9/17/24")
        for comma in (",", "")
        for time in ("21:40:05", "9:40", "21.40.05", "27:40")
    ],
)
def test_the_quick_way_to_read_a_header_agrees_with_the_general_patterns(line: str) -> None:
    """A line with a mark before it is read by the general patterns."""
    quick, general = read_header(line), read_header("\u200e" + line)
    assert general == (replace(quick, is_marked=True) if quick else None)


def chat(*lines: str, end: str = "\n") -> str:
    return "".join(line + end for line in lines)


def test_the_order_of_day_and_month_is_found_in_the_whole_file() -> None:
    early = "03/04/2024, 10:00 - Rita: primeira"
    assert times(chat(early, "25/04/2024, 10:00 - Rita: x"))[0] == utc_ms("2024-04-03 10:00")
    assert times(chat(early, "04/25/2024, 10:00 - Rita: x"))[0] == utc_ms("2024-03-04 10:00")
    rising = [f"{month:02d}/{day:02d}/24, 10:00 - Rita: x" for month in (1, 2, 3) for day in (3, 7, 11)]
    outcome = read(chat(*rising))
    assert outcome.messages[0].at == utc_ms("2024-01-03 10:00")
    assert not any("--date-order" in note for note in outcome.notes)


def test_an_order_that_nothing_proves_is_noted_and_may_be_given() -> None:
    lines = chat("03/04/2024, 10:00 - Rita: oi", "03/04/2024, 10:01 - Loja: olá")
    assert any("day/month; --date-order mdy" in note for note in read(lines).notes)
    given = read(lines, date_order="mdy")
    assert given.messages[0].at == utc_ms("2024-03-04 10:00")
    assert not any("--date-order" in note for note in given.notes)
    assert times(chat("[3/4/24, 9:15:00 PM] Rita: oi")) == [utc_ms("2024-03-04 21:15:00")]


def test_no_order_is_suggested_for_dates_that_begin_with_the_year() -> None:
    """--date-order could not change them, since a year of four digits shows its position."""
    outcome = read(chat("2024-03-05, 21:40 - Rita: oi", "2024-03-06, 08:00 - Loja: olá"))
    assert outcome.messages[0].at == utc_ms("2024-03-05 21:40")
    assert not any("--date-order" in note for note in outcome.notes)


@pytest.mark.parametrize("words", ["a las ", "a la "])
def test_words_before_a_time_in_spanish_are_not_taken_for_am_or_pm(words: str) -> None:
    outcome = read(chat(f"22/3/2024 {words}1:15 - Rita: hola", f"22/3/2024 {words}13:20 - Rita: hola"))
    assert outcome.messages[1].at == utc_ms("2024-03-22 13:20")
    assert not any("AM or PM" in note for note in outcome.notes)


def test_times_are_in_the_zone_that_is_given() -> None:
    lines = chat("[17/09/2024, 21:40:05] Rita: oi")
    assert times(lines, zone=ZoneInfo("America/Sao_Paulo")) == [utc_ms("2024-09-18 00:40:05")]
    assert any("--zone" in note for note in read(lines).notes)


def test_the_name_of_the_bot_must_be_given() -> None:
    lines = chat(
        "[17/09/2024, 21:40:05] Rita: oi",
        "[17/09/2024, 21:40:06] Rita: ?",
        "[17/09/2024, 21:40:09] Loja: olá",
    )
    with pytest.raises(ImportFailedError, match=r'--bot NAME; authors.*"Rita" \(2\), "Loja" \(1\)'):
        read(lines, bots=frozenset())
    with pytest.raises(ImportFailedError, match='no author in this chat has the name "Marta"'):
        read(lines, bots=frozenset({"Marta"}))
    with pytest.raises(ImportFailedError, match="--bot Loja; authors"):
        imported(WhatsAppChats(), lines, name="WhatsApp Chat with Rita.txt")
    silent = read(chat("[17/09/2024, 21:40:05] Rita: oi"))
    assert len(silent.messages) == 1
    assert any("has written nothing" in note for note in silent.notes)
    numbers = chat(
        "[17/09/2024, 21:40:05] Rita: oi",
        f"[17/09/2024, 21:40:06] \u202a+55{NARROW}47{NARROW}91111-2222\u202c: olá",
    )
    assert texts(numbers, bots=frozenset({"+5547911112222"})) == ["oi"]


def test_a_group_has_a_conversation_for_each_person() -> None:
    outcome = read(
        chat(
            "[17/09/2024, 21:40:00] Loja: bem-vindas",
            f"[17/09/2024, 21:40:05] ~{NARROW}Rita 🌷: oi",
            "[17/09/2024, 21:40:06] Ana: olá",
            "[17/09/2024, 21:40:09] Loja: sim?",
        )
    )
    assert [message.phone for message in outcome.messages] == ["Rita 🌷", "Ana"]
    assert [reply.phone for reply in outcome.replies] == ["Ana"]
    assert outcome.omitted == {NOBODY: 1}
    assert any("2 people" in note for note in outcome.notes)


def test_a_message_may_have_several_lines_and_empty_ones() -> None:
    lines = chat(
        "17/09/2024, 21:40 - Rita: um",
        "dois",
        "",
        "quatro",
        "17/09/2024, 21:41 - Rita: ",
        "17/09/2024, 21:41 - Loja: x",
    )
    outcome = read(lines)
    assert [message.text for message in outcome.messages] == ["um\ndois\n\nquatro", ""]
    assert outcome.messages[1].kind == "media"


def test_lines_that_look_like_headers_of_other_forms_belong_to_the_message() -> None:
    lines = [f"[17.09.24, 21:40:{second:02d}] Rita: oi {second}" for second in range(10)]
    pasted = [
        "[1.2.2019, 00:00:00] Rita: colado",
        "2/11/19, 14:48 Rita: colado",
        "17/09/2024, 21:40 - Rita: colado",
        "1/2 xícara de açúcar",
    ]
    outcome = read(chat(*lines[:5], *pasted, *lines[5:], "[17.09.24, 21:41:00] Loja: x"))
    assert len(outcome.messages) == 10
    assert outcome.messages[4].text.count("\n") == 4


def test_pasted_messages_of_others_belong_to_the_message() -> None:
    """A chat that is pasted into a message has the form of this file, older times, and other authors."""
    lines = [f"[17/09/2024, 21:40:{second:02d}] Rita: oi {second}" for second in range(10)]
    pasted = ["[02/01/2024, 10:00:00] Marta: de outra conversa", "[02/01/2024, 10:00:09] Pedro: sim"]
    outcome = read(chat(*lines[:5], *pasted, *lines[5:]) + chat("[17/09/2024, 21:41:00] Loja: x"))
    assert len(outcome.messages) == 10
    assert "Marta" in outcome.messages[4].text
    crlf = [
        *(line + "\r\n" for line in lines[:4]),
        lines[4] + "\n",
        "[02/01/2024, 10:00:00] Rita: colado\r\n",
    ]
    outcome = read("".join(crlf) + chat(*lines[5:], "[17/09/2024, 21:41:00] Loja: x", end="\r\n"))
    assert len(outcome.messages) == 10
    assert outcome.messages[4].text.endswith("Rita: colado")


def test_an_older_chat_in_the_same_file_is_not_taken_for_pasted() -> None:
    newer = [f"[17/09/2024, 21:40:{second:02d}] Rita: oi" for second in range(10)]
    older = [f"[17/08/2024, 21:40:{second:02d}] Ana: oi" for second in range(10)]
    many = [f"[17/08/2024, 21:{second:02d}:00] Ana: oi" for second in range(30)]
    assert len(texts(chat(*newer, *older, "[17/08/2024, 21:41:00] Loja: x"))) == 20
    assert len(texts(chat(*newer, *many, "[18/09/2024, 21:41:00] Loja: x"))) == 40


def test_time_may_run_backwards_a_little() -> None:
    lines = [
        "[17/09/2024, 21:40:05] Rita: b",
        "[17/09/2024, 21:39:58] Rita: a",
        "[17/09/2024, 20:10:00] Rita: atrasada",
        "[17/09/2024, 21:41:00] Loja: x",
    ]
    assert texts(chat(*lines)) == ["b", "a", "atrasada"]


def test_authors_may_hold_quotes() -> None:
    lines = chat(
        '17/09/2024, 21:40 - Rita "Ri" Souza: oi',
        "17/09/2024, 21:40 - Ana „Nana“: olá",
        "17/09/2024, 21:41 - Loja: x",
    )
    assert [message.phone for message in read(lines).messages] == ['Rita "Ri" Souza', "Ana „Nana“"]


def test_authors_may_hold_colons_and_emoji() -> None:
    lines = [f"17/09/2024, 21:4{minute} - Ana: Vendas 🛒: nota {minute}: oi" for minute in range(4)]
    outcome = read(chat(*lines, "17/09/2024, 21:45 - Loja: preço: 20", "17/09/2024, 21:46 - Loja: ok"))
    assert {message.phone for message in outcome.messages} == {"Ana: Vendas 🛒"}
    assert outcome.messages[0].text == "nota 0: oi"
    assert outcome.replies[0].text == "preço: 20"


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        (f"{LRM}image omitted", "image", ""),
        (f"{LRM}vídeo omitido", "video", ""),
        (f"{LRM}Sticker weggelassen", "sticker", ""),
        (f"{RLM}لم يتم إدراج الصورة", "image", ""),
        (f"{LRM}音声は含まれていません", "audio", ""),
        (f"{LRM}Contact card omitted", "contacts", ""),
        (
            f"contrato.pdf • {LRM}3 páginas {LRM}documento omitido",
            "document",
            f"contrato.pdf • {LRM}3 páginas",
        ),
        (f"{LRM}<attached: 00000012-PHOTO-2024-09-17-21-40-05.jpg>", "image", ""),
        (f"{LRM}<anexado: 00000013-AUDIO-2024-09-17-21-40-05.opus>", "audio", ""),
        (f"{RLM}<المُرفق: 00000014-STICKER-2024-09-17-21-40-05.webp>", "sticker", ""),
        (
            f"{LRM}Localização: https://maps.google.com/?q=-26.9,-49.0",
            "location",
            "Localização: https://maps.google.com/?q=-26.9,-49.0",
        ),
        (f"{LRM}This message was deleted.", "deleted", ""),
        (f"{LRM}Mensagem apagada", "deleted", ""),
        (f"era isto {LRM}<This message was edited>", "text", "era isto"),
        (f"era isto {LRM}<un texte que personne ne connaît>", "text", "era isto"),
        (
            f"{LRM}POLL:\nQuando?\n{LRM}OPTION: hoje (0 votes)\n{LRM}OPTION: amanhã (1 vote)",
            "poll",
            "POLL:\nQuando?\nOPTION: hoje (0 votes)\nOPTION: amanhã (1 vote)",
        ),
        ("image omitted", "image", ""),
        ("imagem ocultada", "image", ""),
        ("видео отсутствует", "video", ""),
        ("a imagem foi ocultada por mim", "text", "a imagem foi ocultada por mim"),
        ("omitted", "text", "omitted"),
        ("o que quer dizer image omitted?", "text", "o que quer dizer image omitted?"),
    ],
)
def test_a_body_from_a_phone_with_ios_has_its_kind_and_text(body: str, kind: str, text: str) -> None:
    mark = LRM if "PHOTO" in body or "omitted" in body else ""
    outcome = read(chat(f"{mark}[17/09/2024, 21:40:05] Rita: {body}", "[17/09/2024, 21:41:00] Loja: x"))
    assert [(message.kind, message.text) for message in outcome.messages] == [(kind, text)]


def test_a_placeholder_in_an_unknown_language_is_media_where_a_mark_stands_before_the_date() -> None:
    outcome = read(
        chat(f"{LRM}[17/09/2024, 21:40:05] Rita: {LRM}ixxy phoqzz", "[17/09/2024, 21:41:00] Loja: x")
    )
    assert [message.kind for message in outcome.messages] == ["media"]


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        ("<Media omitted>", "media", ""),
        ("<Arquivo de mídia oculto>", "media", ""),
        ("<تم استبعاد الوسائط>", "media", ""),
        ("IMG-20240917-WA0001.jpg (file attached)", "image", ""),
        ("IMG-20240917-WA0001.jpg (arquivo anexado)\nque tal?", "image", "que tal?"),
        ("PTT-20240917-WA0002.opus (ficheiro anexado)", "audio", ""),
        ("AUD-20240917-WA0000. (file attached)", "audio", ""),
        ("lista de preços.pdf (Datei angehängt)\nlista de preços.pdf", "document", "lista de preços.pdf"),
        ("Rita.vcf (file attached)", "contacts", ""),
        (
            "localização: https://maps.google.com/?q=-26.9,-49.0",
            "location",
            "localização: https://maps.google.com/?q=-26.9,-49.0",
        ),
        ("This message was deleted", "deleted", ""),
        ("você apagou esta mensagem", "deleted", ""),
        ("era isto <This message was edited>", "text", "era isto"),
        ("vi em loja.com (muito bom)", "text", "vi em loja.com (muito bom)"),
        ("null", "text", "null"),
    ],
)
def test_a_body_from_a_phone_with_android_has_its_kind_and_text(body: str, kind: str, text: str) -> None:
    outcome = read(chat(f"17/09/2024, 21:40 - Rita: {body}", "17/09/2024, 21:41 - Loja: x"))
    assert [(message.kind, message.text) for message in outcome.messages] == [(kind, text)]


def test_notices_are_counted() -> None:
    ios = chat(
        f"[17/09/2024, 21:40:00] Loja: {LRM}As mensagens e ligações são protegidas com a criptografia de ponta a ponta. Nem mesmo o WhatsApp pode ler.",
        f"[17/09/2024, 21:40:01] Loja: {LRM}Ruf verpasst, in irgendeiner Sprache",
        "[17/09/2024, 21:40:05] Rita: oi",
        "[17/09/2024, 21:41:00] Loja: x",
    )
    android = chat(
        "17/09/2024, 21:40 - Messages and calls are end-to-end encrypted. No one outside of this chat, not even WhatsApp, can read them.",
        '17/09/2024, 21:40 - Rita changed the subject to "Loja: pedidos"',
        "17/09/2024, 21:40 - Rita hat den Betreff zu „Loja: Bestellungen“ geändert",
        "17/09/2024, 21:40 - Rita added +55 47 90000-0000",
        "17/09/2024, 21:40 - Rita: oi",
        "17/09/2024, 21:41 - Loja: x",
    )
    for lines, count in ((ios, 2), (android, 4)):
        outcome = read(lines)
        assert [message.text for message in outcome.messages] == ["oi"]
        assert outcome.omitted == {NOTICES: count}
        assert [reply.text for reply in outcome.replies] == ["x"]


def test_a_missed_call_is_not_media() -> None:
    """In Russian, "missed" and "omitted" are one word."""
    lines = chat(
        "17/09/2024, 21:40 - Rita: Пропущенный аудиозвонок",
        "17/09/2024, 21:41 - Rita: oi",
        "17/09/2024, 21:41 - Loja: x",
    )
    assert read(lines).omitted == {NOTICES: 1}


def test_lines_before_the_first_message_are_counted() -> None:
    outcome = read(
        chat("Conversa do WhatsApp", "", "17/09/2024, 21:40 - Rita: oi", "17/09/2024, 21:41 - Loja: x")
    )
    assert outcome.omitted == {BEFORE_FIRST: 1}


def test_a_text_over_the_limit_keeps_its_length() -> None:
    long = (
        "17/09/2024, 21:40 - Rita: "
        + "x" * 1000
        + "\n"
        + ("y" * 1000 + "\n") * 99
        + "17/09/2024, 21:41 - Loja: x\n"
    )
    (message,) = read(long).messages
    assert len(message.text) == 65_536
    assert message.characters == 100 * 1001 - 1


def test_a_file_without_messages_is_refused_in_words() -> None:
    with pytest.raises(ImportFailedError, match="no line begins like a message of an exported chat"):
        read("nada\naqui\n")


def test_dates_of_no_known_calendar_are_refused_in_words() -> None:
    with pytest.raises(ImportFailedError, match="their dates do not exist"):
        read(chat("[99/99/2024, 21:40:05] Rita: oi", "[98/99/2024, 21:40:06] Loja: x"))
    hijri = read(chat("[14/3/1446, 21:40:05] Rita: oi", "[14/3/1446, 21:40:06] Loja: x"))
    assert any("Islamic calendar" in note for note in hijri.notes)


def test_an_export_in_a_zip_is_read(tmp_path: Path) -> None:
    archive = tmp_path / "WhatsApp Chat - Rita.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(
            "_chat.txt",
            "\ufeff" + chat("[17/09/2024, 21:40:05] Rita: oi", "[17/09/2024, 21:41:00] Loja: x", end="\r\n"),
        )
    (source,) = sources_of([archive], Meter())
    assert detected(source.open().read(), source.name)[0] == "whatsapp-chat"
    with pytest.raises(ImportFailedError, match="--bot Loja;"):
        imported(WhatsAppChats(), source.open().read(), name=source.name)


def test_logs_are_not_taken_for_chats() -> None:
    log = chat(*(f"[2024-09-17 21:40:{second:02d}] INFO server started" for second in range(20)))
    assert WhatsAppChats().recognise(source_of(log).sample()) is None


def test_a_second_export_in_the_same_file_counts() -> None:
    first = [f"17/09/2024, 21:{minute:02d} - Rita: oi" for minute in range(40)]
    second = [f"[18/09/2024, 21:{minute:02d}:00] Rita: oi" for minute in range(25)]
    assert len(texts(chat(*first, *second, "[18/09/2024, 21:59:00] Loja: x"))) == 65


def test_short_notices_of_phones_with_ios_are_not_media() -> None:
    outcome = read(
        chat(
            "[17/09/2024, 21:40:05] Ana: oi",
            f"{LRM}[17/09/2024, 21:41:05] Ana: {LRM}Missed video call. {LRM}Tap to call back",
            f"{LRM}[17/09/2024, 21:42:05] Ana: {LRM}Ana is a contact.",
            f"{LRM}[17/09/2024, 21:43:05] Ana: Video call, at five {LRM}image omitted",
            "[17/09/2024, 21:44:05] Ana: Bia is a contact.",
        )
    )
    assert [(message.kind, message.text) for message in outcome.messages] == [
        ("text", "oi"),
        ("image", "Video call, at five"),
        ("text", "Bia is a contact."),
    ]
    assert outcome.omitted == {NOTICES: 2}


@pytest.mark.parametrize(
    "body", ["این پیام حذف شده است.", "यह मैसेज मिटा दिया गया है", "यह मैसेज डिलीट किया जा चुका है."]
)
def test_deleted_messages_may_be_worded_in_the_perfect(body: str) -> None:
    marked = f"{LRM}[17/09/2024, 21:41:05] Ana: {LRM}{body}"
    for line in (f"17/09/2024, 21:41 - Ana: {body}", marked):
        assert [message.kind for message in read(chat(line)).messages] == ["deleted"]


def test_a_chat_of_notices_is_recognised_and_has_no_message() -> None:
    notices = chat(
        "17/09/2024, 21:40 - Mensagens e ligações são protegidas com a criptografia de ponta a ponta. Saiba mais.",
        "17/09/2024, 21:41 - Loja created group “Fregueses: todos”",
        "17/09/2024, 21:41 - Loja added Ana",
    )
    assert detected(notices)[0] == "whatsapp-chat"
    assert read(notices, bots=frozenset()).omitted == {NOTICES: 3}
    few = notices + "17/09/2024, 21:42 - Ana: oi\n"
    assert detected(few)[0] == "whatsapp-chat"
    assert texts(few) == ["oi"]


def test_a_chat_that_is_not_in_utf_8_is_read_as_windows_1252() -> None:
    lines = chat("17/09/2024, 21:40 - Zoë: às três?", "17/09/2024, 21:41 - Padaria São João: já está")
    outcome = imported(WhatsAppChats(), lines.encode("cp1252"), bots=frozenset({"Padaria São João"}))
    assert [message.text for message in outcome.messages] == ["às três?"]
    assert [reply.text for reply in outcome.replies] == ["já está"]
    assert any("Windows-1252" in note for note in outcome.notes)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_chat_in_utf_16_without_a_mark_is_read(encoding: str) -> None:
    content = chat("17/09/2024, 21:40 - Ana: às três?").encode(encoding)
    assert detected(content)[0] == "whatsapp-chat"
    assert [message.text for message in imported(WhatsAppChats(), content, bots=BOT["bots"]).messages] == [
        "às três?"
    ]


def test_webhooks_amid_a_chat_are_counted_and_no_part_of_its_messages() -> None:
    webhook = (
        '{"event": "messages.upsert", "instance": "loja", "data": {"key": {"remoteJid": "1@s.whatsapp.net"}}}'
    )
    outcome = read(chat("17/09/2024, 21:40 - Ana: oi", webhook, webhook, '{"not": "a webhook"}'))
    assert [message.text for message in outcome.messages] == ['oi\n\n\n{"not": "a webhook"}']
    assert outcome.omitted == {WEBHOOK: 2}


def test_spoilt_letters_are_noted() -> None:
    line = chat("17/09/2024, 21:40 - Ana: às três? não, “amanhã”")
    spoilt = read(line.encode().decode("cp1252", "replace"))
    assert len(spoilt.messages) == 1
    assert any("spoilt" in note for note in spoilt.notes)
    assert not any("spoilt" in note for note in read(line).notes)
