"""Every sentence of the pages is translated; whole sentences, with the same values in them, in every language.

After a change of sentences run this with UPDATE_LANGUAGES=1: it adds new ones to the .po files, without a
translation, and removes those that no page uses.
"""

from __future__ import annotations

import ast
import io
import os
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po, write_po
from jinja2 import Environment, nodes
from markupsafe import Markup

from reports.words import language
from reports.words.language import direction, gettext, marked, ngettext, speaking

REPORTS = Path(language.__file__).parents[1]
TEMPLATES = sorted(file for kind in ("html", "svg") for file in REPORTS.rglob(f"templates/*.{kind}"))
KEYWORDS = {"gettext": 1, "ngettext": 2, "marked": 1}
"""Functions that take messages, and how many each takes."""

TRANSLATED = [code for code in language.LANGUAGES if code != language.DEFAULT]
UPDATE = "UPDATE_LANGUAGES"
HEADERS = {
    "ar": "nplurals=6; plural=(n==0 ? 0 : n==1 ? 1 : n==2 ? 2 : n%100>=3 && n%100<=10 ? 3 : n%100>=11 ? 4 : 5);"
}
"""Plural rules by language."""

NUMBERS = (0, 1, 2, 3, 10, 11, 26, 99, 100, 102, 103, 1111)
_PLACEHOLDER = re.compile(r"%+\(\w+\)s")
_NAME = re.compile(r"(?<!%)%\((\w+)\)s")
_ARABIC = re.compile("[\u0621-\u064a،؛]")
_WORDS = re.compile(r"[A-Z]|[a-z] ?[a-z]")
_SPOKEN = ("aria-label", "title", "placeholder", "alt", "summary")
_NOT_SPOKEN = re.compile(r"<(style|script)\b.*?</\1>|<!--.*?-->|<!DOCTYPE[^>]*>", re.DOTALL)


@cache
def _page_messages() -> tuple[tuple[str, ...], ...]:
    """Return every message of the pages, with its plural if it has one."""
    plurals: dict[str, str] = {}
    for singular, plural in (*_in_sources(), *_in_templates()):
        plurals[singular] = plural or plurals.get(singular, "")
    return tuple((text, plural) if plural else (text,) for text, plural in sorted(plurals.items()))


def _in_sources() -> Iterator[tuple[str, str]]:
    """Yield the messages of the modules, parsed as syntax, so that those inside of f-strings are found too."""
    for file in sorted(REPORTS.rglob("*.py")):
        for call in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in KEYWORDS:
                arguments = call.args[: KEYWORDS[call.func.id]]
                yield from _message([node.value for node in arguments if isinstance(node, ast.Constant)])


def _in_templates() -> Iterator[tuple[str, str]]:
    for file in TEMPLATES:
        for call in Environment(autoescape=True).parse(file.read_text("utf-8")).find_all(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name in KEYWORDS:
                arguments = call.args[: KEYWORDS[call.node.name]]
                yield from _message([node.value for node in arguments if isinstance(node, nodes.Const)])


def _message(texts: Sequence[object]) -> Iterator[tuple[str, str]]:
    """Yield the message of a call and its plural, if any; a variable instead of a text is translated elsewhere."""
    if texts:
        yield str(texts[0]), str(texts[1]) if len(texts) > 1 else ""


@cache
def _catalogue(code: str) -> Catalog:
    return read_po(io.BytesIO(_path(code).read_bytes()), locale=code)


def _path(code: str) -> Path:
    return language.FOLDER / f"{code}.po"


def _messages(code: str) -> Iterator[Message]:
    return (message for message in _catalogue(code) if message.id)


def _updated(code: str) -> str:
    """Return the file with exactly the messages that the pages have now, in alphabetical order."""
    catalogue, old = Catalog(locale=code, header_comment=""), _catalogue(code)
    for forms in _page_messages():
        entry = old.get(forms[0])
        same = entry is not None and entry.pluralizable == (len(forms) > 1)
        catalogue.add(
            forms if len(forms) > 1 else forms[0], entry.string if entry is not None and same else None
        )
    written = io.BytesIO()
    write_po(written, catalogue, width=110, omit_header=True)
    return _head(code) + written.getvalue().decode()


def _head(code: str) -> str:
    fields = {
        "Language": code,
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Transfer-Encoding": "8bit",
        "Plural-Forms": HEADERS[code],
    }
    return (
        'msgid ""\nmsgstr ""\n' + "".join(f'"{name}: {value}\\n"\n' for name, value in fields.items()) + "\n"
    )


def _forms(message: Message) -> Sequence[str]:
    return [message.string] if isinstance(message.string, str) else list(message.string or ())


@pytest.mark.parametrize("code", TRANSLATED)
def test_the_file_holds_what_the_pages_say_and_nothing_else(code: str) -> None:
    updated = _updated(code)
    if os.environ.get(UPDATE):
        _path(code).write_text(updated, "utf-8")
        _catalogue.cache_clear()
    assert _path(code).read_text("utf-8") == updated, f"run this test with {UPDATE}=1, then translate"


@pytest.mark.parametrize("code", TRANSLATED)
def test_every_message_is_translated_in_all_its_forms(code: str) -> None:
    catalogue = _catalogue(code)
    assert len(list(_messages(code))) > 100
    missing = [
        message.id
        for message in _messages(code)
        if message.fuzzy
        or not all(_forms(message))
        or (message.pluralizable and len(_forms(message)) != catalogue.num_plurals)
    ]
    assert missing == []


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_translation_holds_the_values_of_its_message_and_can_be_filled(code: str) -> None:
    for message in _messages(code):
        english = [message.id] if isinstance(message.id, str) else list(message.id)
        for number, form in enumerate(_forms(message)):
            placeholders_of_form = sorted(_PLACEHOLDER.findall(form))
            allowed = [sorted(_PLACEHOLDER.findall(text)) for text in english]
            if message.pluralizable and number in (
                1,
                2,
            ):  # "a message", "two messages": the words tell the number
                allowed += [[name for name in placeholders if name != "%(num)s"] for placeholders in allowed]
            assert placeholders_of_form in allowed, (message.id, form)
            assert form % dict.fromkeys(_NAME.findall(form), "value"), form
            assert form.count("%%") == english[-1].count("%%"), form


def test_arabic_is_arabic() -> None:
    strange = [
        message.id
        for message in _messages("ar")
        for form in _forms(message)
        if not _ARABIC.search(form) and re.search("[a-z]", _PLACEHOLDER.sub("", str(message.id)))
    ]
    assert strange == []


def test_arabic_has_one_word_for_an_instance() -> None:
    """Another word for it means a replica too."""
    about = [message for message in _messages("ar") if re.search(r"(?i)\binstance\b", str(message.id))]
    assert about
    assert [message.id for message in about if not all("مثيل" in form for form in _forms(message))] == []


def test_arabic_has_a_form_for_each_number() -> None:
    with speaking("ar"):
        words = [ngettext("%(num)s message", "%(num)s messages", number) for number in NUMBERS]
    assert words[1:3] == ["رسالة واحدة", "رسالتان"]
    assert [form.replace("\u00a0", " ") for form in words[3:5]] == ["3 رسائل", "10 رسائل"]
    assert words[-1].replace("\u00a0", " ") == "1,111 رسالة"


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.name)
def test_a_template_says_nothing_in_one_language_only(file: Path) -> None:
    source = file.read_text("utf-8")
    markup = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "", source, flags=re.DOTALL)
    markup = _NOT_SPOKEN.sub("", markup)
    spoken = [text for text in re.sub(r"<[^>]*>", "\n", markup).splitlines() if _WORDS.search(text)]
    for name in _SPOKEN:
        spoken += [text for text in re.findall(rf'\s{name}="([^"]*)"', markup) if _WORDS.search(text)]
    assert spoken == []
    assert [text for text in _constants(source) if re.search(r"^[A-Z]|[a-z] [a-z]+ [a-z]", text)] == []


def _constants(source: str) -> Iterator[str]:
    """Yield texts that a template's expressions put into the page untranslated."""
    for output in Environment(autoescape=True).parse(source).find_all(nodes.Output):
        translated = {
            id(text)
            for call in output.find_all(nodes.Call)
            if isinstance(call.node, nodes.Name) and call.node.name in KEYWORDS
            for text in call.find_all(nodes.Const)
        }
        for text in output.find_all(nodes.Const):
            if isinstance(text.value, str) and id(text) not in translated:
                yield text.value


def test_english_is_what_is_written() -> None:
    assert direction() == "ltr"
    assert gettext("%(name)s lost %(share)s", name="list-v1", share="9 %") == "list-v1 lost 9 %"
    assert ngettext("%(num)s message", "%(num)s messages", 1) == "1\u00a0message"
    assert ngettext("%(num)s message", "%(num)s messages", 2500) == "2,500\u00a0messages"
    assert marked("as it is") == "as it is"


def test_a_language_is_spoken_until_the_end_of_the_block_even_if_it_fails() -> None:
    with speaking("ar"):
        assert (language.language(), direction()) == ("ar", "rtl")
        with pytest.raises(RuntimeError), speaking("en"):
            raise RuntimeError
        assert language.language() == "ar"
    assert (language.language(), direction()) == ("en", "ltr")


def test_an_unknown_language_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match=r"'tlh'.*ar"), speaking("tlh"):
        pass


def test_a_value_in_latin_letters_keeps_its_place_in_a_sentence_from_right_to_left() -> None:
    with speaking("ar"):
        words = gettext("lost %(name)s %(number)s", name="list-v1", number=8)
        assert words == "lost \u2068list-v1\u2069 8"
        assert gettext("%(time)s", time="\u22121.5") == "\u2068\u22121.5\u2069"
        assert gettext("%(time)s", time="9,998") == "9,998"


def test_isolates_in_a_strangers_text_cannot_end_the_one_around_it() -> None:
    with speaking("ar"):
        for evil in ("a\u2069b", "\u2068ab", "ab\u2069\u2068"):
            assert gettext("%(name)s", name=evil) == "\u2068ab\u2069"
        assert gettext("%(name)s", name=gettext("%(name)s", name="x")) == "\u2068\u2068x\u2069\u2069"


def test_markup_in_a_sentence_stays_and_all_else_is_escaped() -> None:
    for code in language.LANGUAGES:
        with speaking(code):
            words = gettext("%(first)s and %(second)s", first=Markup("<bdi>a</bdi>"), second="<b>")
            assert isinstance(words, Markup)
            assert "<bdi>a</bdi>" in words
            assert "&lt;b&gt;" in words
            assert "<b>" not in words
