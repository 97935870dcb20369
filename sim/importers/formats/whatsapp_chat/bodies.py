"""What a message of a chat export holds besides words: media, edits, deletions, and WhatsApp's own notices.

Phones write these in their own language. Where the form alone shows it, no language is needed: a mark of direction
before the body, a text in `<…>`, a file's name. The words below are for what has no such form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sim.importers.formats.whatsapp_chat.headers import MARKS

_MARKED = re.compile(f"^[{MARKS}]*[\u200e\u200f][{MARKS}]*")
_MARKS = re.compile(f"[{MARKS}]+")
_EXTENSIONS = {
    "image": "jpg jpeg png heic heif bmp tif tiff",
    "video": "mp4 mov 3gp avi mkv webm",
    "audio": "opus mp3 m4a aac ogg oga amr wav mpeg",
    "sticker": "webp",
    "contacts": "vcf",
}
_KIND_BY_EXTENSION = {
    extension: kind for kind, extensions in _EXTENSIONS.items() for extension in extensions.split()
}
_FILE_IN_BRACKETS = re.compile(rf"[{MARKS}]*<[{MARKS}]*[^<>:：]{{2,40}}[:：]\s?(?P<file>[^<>]*?\.\w{{2,5}})[{MARKS}\s]*>")
_FILE_ATTACHED = re.compile(
    rf"(?P<file>[^\n<>]{{1,250}}?\.\w{{0,5}})\s[(<][{MARKS}]*[^()<>\n]{{3,60}}[)>](?:\n(?P<caption>.*))?", re.DOTALL
)
_FILE_NAMED = re.compile(r"(?P<file>(?:IMG|VID|AUD|PTT|STK|DOC|GIF)-\d{8}-WA\d+\.\w{0,5})(?:\s.{0,60})?")
_ONLY_IN_BRACKETS = re.compile(rf"<[{MARKS}]*[^<>\n:]{{3,80}}>")
_EDITED_MARKED = re.compile(rf"\s*[\u200e\u200f][{MARKS}]*<[^<>\n]{{4,80}}>[{MARKS}]*$")
_EDITED = re.compile(
    r"\s*<(?:This message was edited|Esta mensagem foi editada|Mensagem editada|Se editó este mensaje\.?"
    r"|Este mensaje fue editado\.?|Diese Nachricht wurde bearbeitet\.?|Ce message a été modifié\.?"
    r"|Questo messaggio è stato modificato\.?|Dit bericht is bewerkt\.?|تم تعديل هذه الرسالة\.?|Bu mesaj düzenlendi\.?"
    r"|Pesan ini diedit\.?|Это сообщение изменено\.?|Данное сообщение изменено\.?|यह मैसेज एडिट किया गया।?)>$",
    re.IGNORECASE,
)
_MAP = re.compile(r"https://(?:maps\.google\.com/(?:maps)?\?q=|maps\.app\.goo\.gl/|foursquare\.com/v/)\S+\s*$")
_OMITTED = re.compile(
    r"omitted|weggelassen|ausgelassen|ausgeschlossen|omitid[oa]|ocultad[oa]|ocult[oa]\b|revelad[oa]|absente?\b|omise?s?\b"
    r"|manquante?|retirée?\b|omess[oai]|esclus[oa]|non inclus[oa]|weggelaten|utelämnad|udeladt|utelatt|jätettiin pois"
    r"|pominięt[oay]|vynechán[oay]?|vynechan[áýé]|kihagyva|dahil edilmedi|tidak disertakan|hilang\b|отсутствует|пропущен"
    r"|не включ|відсутн[єіяа]|пропущено|παραλείφθηκε|παραλείπ|לא נכלל|הושמט|لم يتم إدراج|تم استبعاد|غير مدرج|تم حذف الملصق"
    r"|حذف شد|含まれていません|省略|略去|忽略|生략|생략|छोड़ा ग|हटाई ग|ไม่มี(?:รูป|ไฟล์|วิดีโอ|สติกเกอร์)|đã bỏ|bỏ qua|omès|omesa"
    r"|outelaten|izostavljen|изпуснат|išleist|izlaist|jäetud välja|fagyott|omis\b",
    re.IGNORECASE,
)
_OMITTED_CHARACTERS_MAX = 60
_KIND_WORDS = {
    "image": r"image|imagen|imagem|immagine|bild|foto|photo|afbeelding|изображ|зображ|görüntü|gambar|obraz|obrázek|صورة|画像|圖|图"
    r"|影像|사진|이미지|फ़ोटो|รูป|hình|תמונה",
    "sticker": r"sticker|figurinha|autocollant|adesivo|стикер|наліпк|çıkartma|stiker|naklejk|nálepk|ملصق|スタンプ|ステッカー|贴图|貼圖"
    r"|스티커|स्टिकर|สติกเกอร์|nhãn dán|מדבקה",
    "audio": r"audio|áudio|ses\b|аудио|аудіо|zvuk|dźwięk|صوتي|音声|音频|語音|오디오|ऑडियो|เสียง|âm thanh|geluid|ljud|lyd",
    "document": r"document|dokument|documento|документ|belge|dokumen|مستند|ドキュメント|文档|文件|문서|डॉक्यूमेंट|เอกสาร|tài liệu|מסמך",
    "contacts": r"contact|kontakt|contatto|contato|контакт|kişi|kontak|جهة اتصال|連絡先|名片|联系人|연락처|कॉन्टैक्ट|ผู้ติดต่อ|liên hệ",
    "video": r"video|vídeo|vidéo|видео|відео|wideo|فيديو|ビデオ|动画|視訊|视频|影片|동영상|비디오|वीडियो|วิดีโอ|gif|סרטון",
}
_KINDS = {kind: re.compile(words, re.IGNORECASE) for kind, words in _KIND_WORDS.items()}
_DELETED = re.compile(
    r"(?:this message was deleted|you deleted this message|diese nachricht wurde gelöscht|du hast diese nachricht gelöscht"
    r"|se eliminó este mensaje|este mensaje fue eliminado|eliminaste este mensaje|esta mensagem foi apagada"
    r"|essa mensagem foi apagada|mensagem apagada|você apagou esta mensagem|apagou esta mensagem|eliminou esta mensagem"
    r"|esta mensagem foi eliminada|ce message a été supprimé|vous avez supprimé ce message|questo messaggio è stato eliminato"
    r"|hai eliminato questo messaggio|dit bericht (?:is|werd) verwijderd|u hebt dit bericht verwijderd"
    r"|je hebt dit bericht verwijderd|تم حذف هذه الرسالة|لقد حذَ?فت هذه الرسالة|حذفتَ? هذه الرسالة|این پیام حذف شد|این پیام پاک شد"
    r"|bu mesaj silindi|bu mesajı sildiniz|данное сообщение удалено|это сообщение удалено|вы удалили данное сообщение"
    r"|це повідомлення (?:було )?видалено|ви видалили це повідомлення|pesan ini (?:telah )?dihapus|anda (?:telah )?menghapus pesan ini"
    r"|यह मैसेज (?:डिलीट|मिटा).{0,12}|आपने यह मैसेज (?:डिलीट|मिटा).{0,12}|このメッセージは削除されました|このメッセージを削除しました"
    r"|メッセージを削除しました|此訊息已刪除|此消息已删除|您刪除了這則訊息|你删除了这条消息|삭제된 메시지입니다.?|이 메시지를 삭제했습니다"
    r"|wiadomość została usunięta|ta wiadomość została usunięta|usunąłeś\(-aś\) tę wiadomość|usunięto tę wiadomość"
    r"|tato zpráva byla (?:smazána|odstraněna|vymazána)|tuto zprávu jste (?:smazali|odstranili|vymazali)|הודעה זו נמחקה|מחקת הודעה זו"
    r"|meddelandet raderades|du raderade detta meddelande|tin nhắn (?:này )?đã bị xóa|bạn đã xóa tin nhắn này"
    r"|ข้อความนี้ถูกลบ(?:แล้ว)?|คุณลบข้อความนี้(?:แล้ว)?)[\s.!。．]*",
    re.IGNORECASE,
)
_ENCRYPTION = re.compile(
    r"end-to-end|ende-zu-ende|ponta a ponta|ponto a ponto|extremo a extremo|bout en bout|crittograf|сквозн|наскрізн|uçtan uca"
    r"|تشفير|مشفر|رمزگذاری|הצפנה|מוצפנ|एन्क्रिप|エンドツーエンド|暗号化|端对端|端對端|종단간|versleuteld|krypter|šifrov|szyfrow"
    r"|titkosít|enkripsi|terenkripsi|mã hóa đầu cuối|เข้ารหัส|κρυπτογραφ|criptat|salataan|এনক্রিপ|એન્ક્રિપ્શન|enkript",
    re.IGNORECASE,
)
_CALL = re.compile(
    r"(?:missed (?:voice|video) call|(?:voice|video) call[,.]|verpasster? (?:sprach|video)anruf|chamada de (?:voz|vídeo) perdida"
    r"|ligação de (?:voz|vídeo) perdida|llamada perdida|videollamada perdida|llamada de voz perdida|appel (?:vocal|vidéo) manqué"
    r"|chiamata (?:vocale )?persa|videochiamata persa|gemist (?:spraakoproep|videogesprek)|пропущенный (?:аудио|видео)звонок"
    r"|cevapsız (?:sesli|görüntülü) arama|مكالمة (?:صوتية|فيديو) فائتة|panggilan (?:suara|video) tak terjawab"
    r"|मिस्ड वॉइस कॉल|मिस्ड वीडियो कॉल|不在着信|未接语音通话|未接視訊通話|부재중 (?:음성|영상)통화).{0,40}$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Body:
    """The content of a message. `kind` is that of a recording; "notice" for what WhatsApp itself wrote."""

    text: str
    kind: str = "text"


def read_body(body: str, *, is_marked: bool, may_be_notice: bool) -> Body:
    """Reads the body of a message.

    `is_marked` says that a mark of direction stands before the message's date, which shows media; `may_be_notice`, that
    phones of this kind (iOS) name an author before notices too.
    """
    begins_marked = _MARKED.match(body) is not None
    plain = _MARKS.sub("", body).strip()
    if not plain:
        return Body("", "media")
    if media := _media(body, plain, is_marked=is_marked):
        return media
    if _DELETED.fullmatch(plain):
        return Body("", "deletion")
    if _MAP.search(plain) and (begins_marked or len(plain) < 400):
        return Body(plain, "location")
    if begins_marked and "\n" in body and len(_MARKED_LINE.findall(body)) > 1:
        return Body(plain, "poll")
    if is_encryption_notice(plain) or _CALL.match(plain):
        return Body(plain, "notice")
    if begins_marked and may_be_notice:
        return Body(plain, "notice")
    return Body(without_edit_note(body))


_MARKED_LINE = re.compile("(?:^|\n)[\u200e\u200f]")


def _media(body: str, plain: str, *, is_marked: bool) -> Body | None:
    if match := _FILE_IN_BRACKETS.search(body):
        return Body(_caption(body[: match.start()] + body[match.end() :]), _kind_of_file(match["file"]))
    if (match := _FILE_ATTACHED.fullmatch(plain)) and _looks_like_file(match["file"]):
        return Body((match["caption"] or "").strip(), _kind_of_file(match["file"]))
    if _ONLY_IN_BRACKETS.fullmatch(plain):
        return Body("", _kind_of_words(plain))
    if match := _FILE_NAMED.fullmatch(plain):
        return Body("", _kind_of_file(match["file"]))
    last = _last_marked_part(body)
    if last is None and len(plain) <= _OMITTED_CHARACTERS_MAX and plain.lower() in _UNMARKED_OMITTED:
        return Body("", _kind_of_words(plain))
    if last is None or len(last) > _OMITTED_CHARACTERS_MAX or "\n" in last:
        return None
    if is_marked or _OMITTED.search(last):
        return None if _DELETED.fullmatch(last) else Body(_caption(body[: body.rfind(last)]), _kind_of_words(last))
    return None


_UNMARKED_OMITTED = frozenset(
    f"{medium} {word}"
    for word, media in {
        "omitted": ("image", "video", "audio", "sticker", "gif", "document", "contact card", "video note"),
        "weggelassen": ("bild", "video", "audio", "sticker", "gif", "dokument"),
        "omitido": ("video", "vídeo", "audio", "áudio", "sticker", "gif", "documento"),
        "omitida": ("imagen", "imagem", "figurinha", "tarjeta de contacto"),
        "ocultada": ("imagem",),
        "absente": ("image", "vidéo"),
        "omesso": ("video", "audio", "documento"),
        "omessa": ("immagine",),
    }.items()
    for medium in media
)
"""Placeholders of older phones with iOS, which write no mark before them."""


def _last_marked_part(body: str) -> str | None:
    """Returns the text behind the last mark of direction of a body; None where there is none."""
    index = max(body.rstrip(_MARK_CHARACTERS + " \n").rfind(mark) for mark in "\u200e\u200f")
    return None if index < 0 else _MARKS.sub("", body[index:]).strip()


_MARK_CHARACTERS = "\u200e\u200f\u202a\u202c"


def _caption(text: str) -> str:
    return without_edit_note(text).strip("\u2022 \n\t" + _MARK_CHARACTERS)


def _looks_like_file(name: str) -> bool:
    extension = name.rpartition(".")[2].lower()
    is_known = extension in _KIND_BY_EXTENSION or extension in _DOCUMENT_EXTENSIONS
    return is_known or _FILE_NAMED.fullmatch(name) is not None


_DOCUMENT_EXTENSIONS = frozenset(
    "pdf doc docx odt rtf txt xls xlsx ods csv ppt pptx odp key pages numbers zip rar 7z gz apk json xml html htm ofx epub"
    " psd ai cdr svg dwg dxf eml ics gif mid exe msi p7s xps".split()
)


def _kind_of_file(name: str) -> str:
    extension = name.rpartition(".")[2].lower()
    if extension == "mp4" and "GIF" in name:
        return "video"
    if name.startswith(("AUD-", "PTT-")):
        return "audio"
    return _KIND_BY_EXTENSION.get(extension, "document")


def _kind_of_words(words: str) -> str:
    """Returns the kind of media that a placeholder names; "media" where it names none that is known."""
    return next((kind for kind, pattern in _KINDS.items() if pattern.search(words)), "media")


def without_edit_note(text: str) -> str:
    """Returns a text without WhatsApp's note that it was edited."""
    return _EDITED.sub("", _EDITED_MARKED.sub("", text))


def is_encryption_notice(plain: str) -> bool:
    """Returns True for the notice of encryption, which begins most chats, in any language."""
    return len(plain) > 50 and _ENCRYPTION.search(plain) is not None and ("WhatsApp" in plain or "واتساب" in plain)
