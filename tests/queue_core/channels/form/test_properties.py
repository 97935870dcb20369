"""Properties of a reply's form, for texts that nobody thought of."""

from __future__ import annotations

import re

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from queue_core.channels.form import Form
from queue_core.channels.form.bubbles import bubbles_of
from queue_core.channels.form.graphemes import is_border
from queue_core.channels.form.markdown import converted
from queue_core.channels.form.parser import markdown_parser, quick
from queue_core.channels.form.splitting import split, units
from queue_core.message import PART_END


def at_least(count: int) -> settings:
    """Return settings with so many examples, or with those of a profile that has more."""
    return settings(max_examples=max(count, settings().max_examples))


PIECES = (
    *(
        "**",
        "*",
        "_",
        "__",
        "~~",
        "~",
        "`",
        "```",
        "``",
        "# ",
        "- ",
        "+ ",
        "* ",
        "1. ",
        "> ",
        "\n",
        "\n\n",
        "  \n",
        "\t",
    ),
    *(
        "a",
        "word",
        "كتاب",
        "字",
        "5",
        "2*3",
        "[",
        "](",
        "http://a.b",
        "https://a.b/c_d",
        ")",
        "(",
        "![",
        "|",
        "|-|-|\n",
    ),
    *(
        "<b>",
        "</b>",
        "<br>",
        '<a href="http://x.y">',
        "</a>",
        "<code>",
        "</code>",
        "\\",
        "\\*",
        "&amp;",
        "&lt;",
        "&#42;",
    ),
    *(
        ":",
        ".",
        ",",
        " ",
        "    ",
        "---\n",
        "***\n",
        "[^1]",
        "[^1]: ",
        "[s]: http://a.b\n",
        "[s]",
        "- [ ] ",
        "<!--",
        "-->",
    ),
    *(
        "~~~",
        "~~~\n",
        "```py\n",
        "@",
        "x@y.com",
        "www.a.b",
        "/*c*/**d**/",
        "\u200f",
        "\u00a0",
        "é",
        "👨‍👩‍👧",
        "🇸🇦",
        "\f",
        "\r\n",
    ),
    *(
        "$",
        "$$",
        "$x^2$",
        "\\frac{a}{b}",
        "\\times ",
        "\\(",
        "\\)",
        "\\[\n",
        "\\]",
        "{",
        "}",
        "^2",
        "__a__",
    ),
)
anything = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)

WORDS = st.from_regex(r"[A-Za-z]{2,8}|[\u0627-\u064a]{2,8}|[0-9]{1,4}", fullmatch=True)
NAMES = st.sampled_from(
    [
        *(
            "snake_case",
            "__init__",
            "a_b_c.txt",
            "2*3*4",
            "5 * 4",
            "~10",
            "#1",
            "$5",
            "+966 50 000 0000",
            "*123#",
        ),
        *(
            "https://a.example/_b_/c_d",
            "www.a.example/*b*/**c**/x",
            "x_y@b.example",
            "A&B",
            "x<y",
            "C:\\dir",
            "[1]",
            "(a)",
            "50%",
            "a/b",
            "x^2",
        ),
    ]
)
SENTENCE = st.lists(WORDS | NAMES, min_size=1, max_size=8).map(lambda words: " ".join(words) + ".")
PLAIN = st.lists(SENTENCE, min_size=1, max_size=5).map("\n\n".join)

INLINE = WORDS | WORDS.flatmap(
    lambda word: st.sampled_from(
        [
            *(f"**{word}**", f"*{word}*", f"***{word}***", f"~~{word}~~", f"`{word}`", f"**{word} {word}**"),
            *(
                f"[{word}](https://a.example/{len(word)})",
                f"<b>{word}</b>",
                f"_{word}_",
                f"**{word}** *{word}*",
            ),
        ]
    )
)
LINE = st.lists(INLINE, min_size=1, max_size=6).map(" ".join)
BLOCK = LINE | LINE.flatmap(
    lambda line: st.sampled_from(
        [
            *(
                f"# {line}",
                f"### {line}",
                f"- {line}\n- {line}",
                f"1. {line}\n2. {line}",
                f"> {line}\n> {line}",
            ),
            *(
                f"```py\n{line}\n```",
                f"- {line}\n  - {line}",
                f"- [ ] {line}",
                f"{line}\n{line}",
                f"{line}  \n{line}",
            ),
        ]
    )
)
DOCUMENT = st.lists(BLOCK, min_size=1, max_size=6).map("\n\n".join)


def words_of(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text)


@at_least(300)
@given(PLAIN)
def test_plain_text_is_unchanged(text: str) -> None:
    assert converted(text) == text


@at_least(300)
@given(DOCUMENT)
def test_a_document_keeps_its_words_in_order(text: str) -> None:
    tags = re.compile(r"```py|</?b>")
    assert words_of(tags.sub(" ", converted(text))) == words_of(tags.sub(" ", text))


@at_least(300)
@given(DOCUMENT)
def test_marks_are_where_whatsapp_reads_them(text: str) -> None:
    """WhatsApp's marks stand at the border of a word, with no space inside and in one line; none of Markdown's is left."""
    written = re.sub(r"```.*?```|`[^`]*`|https?://\S+", "·", converted(text), flags=re.DOTALL)
    assert not re.search(r"\*\*|~~|^#|<b>|\]\(", written, re.MULTILINE)
    for line in written.split("\n"):
        for mark in "*_~":
            assert line.count(mark) % 2 == 0
            for pair in re.finditer(rf"(.?)\{mark}([^\{mark}]*)\{mark}(.?)", line):
                assert not pair[1].isalnum()
                assert not pair[3].isalnum()
                assert pair[2] == pair[2].strip() != ""


PATHS = st.lists(
    st.sampled_from(["**", "~~", "*", "_", "__", "~", "a", "b.c", "/", "?d=", "%20", "-"]), max_size=12
)
ADDRESSES = st.tuples(
    st.sampled_from(["https://a.example/", "www.a.example/"]), PATHS.map("".join), st.sampled_from(["a", "/"])
).map("".join)


@at_least(300)
@given(LINE, ADDRESSES, LINE)
def test_an_address_stays_as_it_is(before: str, address: str, after: str) -> None:
    assert f" {address} " in converted(f"{before} {address} {after}")


SLOW, QUICK = markdown_parser(), quick(markdown_parser())
for letter in "wW":  # which begin an address
    SLOW.inline.add_terminator_char(letter)


@at_least(300)
@given(anything)
def test_rules_chosen_by_the_first_character_give_the_same_tokens(text: str) -> None:
    assume(not re.search(r"\*\*\s|\s\*\*", text))  # the quick parser moves these spaces
    assert QUICK.parse(text, {}) == SLOW.parse(text, {})


@at_least(500)
@given(anything, st.booleans())
def test_no_text_becomes_empty(text: str, has_marks: bool) -> None:
    assert bool(converted(text, has_marks=has_marks).strip()) == bool(text.strip())


@at_least(500)
@given(anything, st.sampled_from([16, 40, 120]))
def test_parts_fit_and_hold_everything(text: str, units_max: int) -> None:
    parts = split(text, units_max)
    assert all(units(part) <= units_max for part in parts)
    assert len(parts) == 1 or all(part.strip() for part in parts)
    assert _letters("".join(parts)) == _letters(text)


def _letters(text: str) -> str:
    return "".join(character for character in text if not character.isspace() and character not in "`*_~")


CLUSTERS = (
    "👨‍👩‍👧‍👦",
    "🇸🇦",
    "👍🏽",
    "هَ",
    "e\u0301",
    "क्षि",
    "각",
    "🏴\U000e0067\U000e0062\U000e007f",
    "❤️",
    "字",
    "x",
    "😀",
)


@at_least(300)
@given(st.lists(st.sampled_from(CLUSTERS), min_size=1, max_size=40), st.sampled_from([14, 20, 50]))
def test_no_character_is_cut(clusters: list[str], units_max: int) -> None:
    """A word without spaces is cut between characters as a reader sees them; U+0301 and others never begin a part."""
    borders = set()
    at = 0
    for cluster in clusters:
        borders.add(at)
        at += len(cluster)
    end = 0
    for part in split("".join(clusters), units_max)[:-1]:
        end += len(part)
        assert end in borders


@at_least(300)
@given(st.lists(st.sampled_from(CLUSTERS), min_size=1, max_size=10))
def test_a_border_is_never_inside_a_character(clusters: list[str]) -> None:
    text = "".join(clusters)
    borders = {len("".join(clusters[:number])) for number in range(len(clusters) + 1)}
    assert {index for index in range(len(text) + 1) if is_border(text, index)} <= borders


@at_least(300)
@given(anything, st.integers(2, 10))
def test_bubbles_hold_everything_and_are_few(text: str, bubbles_max: int) -> None:
    bubbles = bubbles_of(text, bubbles_max)
    assert len(bubbles) <= bubbles_max
    assert "".join("".join(bubbles).split()) == "".join(text.split())


@at_least(200)
@given(anything, st.integers(1, 3))
def test_a_reply_keeps_its_parts_when_the_settings_change(text: str, bubbles_max: int) -> None:
    """The settings may be others when the next part is sent."""
    form = Form(characters_max=40, bubbles_max=bubbles_max)
    formed = form.formed(text)
    parts = form.parts_of(formed)
    assert parts == form.parts_of(text.replace(PART_END, "\n"))
    assert all(PART_END not in part for part in parts)
    if PART_END in formed:
        assert Form(characters_max=20, format="unchanged", bubbles_max=5).parts_of(formed) == parts
