"""Markdown in WhatsApp's formatting, by examples: what is written anew, and what only looks like Markdown and stays."""

from __future__ import annotations

import time

import pytest

from queue_core.channels.form.markdown import CHARACTERS_MAX, WORK_MAX, converted
from tests.fuzz.hostile import MARKDOWN_PIECES, affordable, steps

WRITTEN_ANEW = [
    ("**Hours**: 9 to 5", "*Hours*: 9 to 5"),
    ("__Open daily__ from 9", "*Open daily* from 9"),
    ("**a b** and *c d*", "*a b* and _c d_"),
    ("***both*** and **_both_** and *__both of them__*", "*_both_* and *_both_* and *_both of them_*"),
    ("**bold with *italic* inside**", "*bold with _italic_ inside*"),
    ("~~old~~ new", "~old~ new"),
    ("**one\ntwo** three", "*one*\n*two* three"),
    ("`**x**` and ``a`b`` and **`c`**", "`**x**` and ``a`b`` and `c`"),
    ("**see `code` now**", "*see* `code` *now*"),
    # links, which a customer can tap
    ("[our site](https://a.example/b_c_d)", "our site (https://a.example/b_c_d)"),
    ("[https://a.example](https://a.example/)", "https://a.example/"),
    ("[a.example](https://www.a.example)", "https://www.a.example"),
    ("[wiki](https://a.example/b_(c))", "wiki (https://a.example/b_(c))"),
    ("**[our site](https://a.example)**", "*our site* (https://a.example)"),
    ("**https://a.example/x_**, soon", "https://a.example/x_, soon"),
    ("www.a.example/*p*/x and **b**, **c: **d", "www.a.example/*p*/x and *b*, *c:* d"),
    (
        "**b** https://a.example/**p:**x, https://b.example/**.js, **c**",
        "*b* https://a.example/**p:**x, https://b.example/**.js, *c*",
    ),
    (
        "**www.a.example/x_**(new), ~~https://a.example~~(old)",
        "www.a.example/x_(new), https://a.example(old)",
    ),
    (
        "见https://a.example/b，**注意**，www.a.example**注意：**请",
        "见https://a.example/b，*注意*，www.a.example注意：请",
    ),
    ("<https://a.example/b> and <a@b.example>", "https://a.example/b and a@b.example"),
    ("[mail](mailto:a@b.example) [call](tel:+9665)", "mail (a@b.example) call (+9665)"),
    ("[site][s] and [S]\n\n[s]: https://a.example", "site (https://a.example) and S (https://a.example)"),
    ("[top](#top)", "top"),
    ("![logo](https://a.example/i.png)", "logo (https://a.example/i.png)"),
    ("![](https://a.example/i.png)", "https://a.example/i.png"),
    (
        "[![logo](https://a.example/i.png)](https://a.example/m) and [![](i.png)](https://a.example)",
        "logo (https://a.example/m) and https://a.example",
    ),
    ('[x](https://a.example "title")', "x (https://a.example)"),
    ("Riyadh ([map](https://a.example/m))", "Riyadh (map: https://a.example/m)"),
    ("[m](mailto:a@b.example?subject=Hi) <mailto:a@b.example>", "m (a@b.example) a@b.example"),
    # bold with a space inside its marks
    ("**السعر: **100 **x **", "*السعر:* 100 *x*"),
    ("** Note: ** read\n** a **", "*Note:* read\n*a*"),
    ("`**a: **b` **c: **d", "`**a: **b` *c:* d"),
    ("Only **today ** we give **10% ** off, **ok**", "Only *today* we give **10% ** off, *ok*"),
    # blocks
    ("# Title", "*Title*"),
    ("##Title\ntext\n> ###1. **Quoted**\n##📌 الأوقات", "*Title*\ntext\n> *1. Quoted*\n*📌 الأوقات*"),
    ("##Title\n\n```\n##comment\n```", "*Title*\n\n```\n##comment\n```"),
    ("### The *best* **title** ###", "*The _best_ title*"),
    ("> ## Quoted", "> *Quoted*"),
    ("```python\nx = **a**\n```", "```\nx = **a**\n```"),
    ("~~~\ncode\n~~~", "```\ncode\n```"),
    ("- ```js\n  a\n  ```\n- b", "- ```\n  a\n  ```\n- b"),
    ("```js\ncut off", "```\ncut off\n```"),
    ("```js title=x\ncut off", "```\ncut off\n```"),
    ("**a**: ```x()\n``` We open.", "*a*: ```x()\n``` We open."),
    ("+ one\n+ two", "- one\n- two"),
    ("- [ ] open\n- [x] done\n  1. [X] nested", "- ☐ open\n- ☑ done\n  1. ☑ nested"),
    ("1. **one**\n   - *two*\n2) three", "1. *one*\n   - _two_\n2) three"),
    ("> **said**\n> so", "> *said*\n> so"),
    ("a\n\n---\n\nb\n***\nc\n* * *", "a\n\n———\n\nb\n———\nc\n———"),
    ("see[^1] and[^n]\n\n[^1]: one\n[^n]: two", "see(1) and(n)\n\n(1): one\n(n): two"),
    # HTML, escapes, entities
    ("a<br>b<br/>c", "a\nb\nc"),
    ("<b>bold</b> <i>it</i> <del>old</del> <u>u</u>", "*bold* _it_ ~old~ u"),
    ("<b> spaced </b>x", "*spaced* x"),
    ('<a href="https://a.example">site</a>', "site (https://a.example)"),
    ("a<!-- hidden -->b", "ab"),
    ("<p>One</p><p>Two</p>three", "One\nTwo\nthree"),
    ("<h2>T</h2>\n<ul>\n  <li>a</li>\n  <li><b>b</b></li>\n</ul>\n<p>c</p>", "*T*\n- a\n- *b*\nc"),
    ("<ol><li>a</li><li>b<ul><li>c</li></ul></li><li>d</li></ol>", "1. a\n2. b\n- c\n3. d"),
    ("5 m<sup>2</sup>, CO<sub>2</sub>, x<sup>(1)</sup>, <sup>*</sup>", "5 m², CO₂, x⁽¹⁾, *"),
    (r"\*\*x\*\* is **bold**", "**x** is *bold*"),
    (r"5 \* 4, snake\_case, \#1, 1\. x", "5 * 4, snake_case, #1, 1. x"),
    ("A &amp; B &lt;3 &copy;&nbsp;C", "A & B <3 © C"),
    ("one  \ntwo\\\nthree", "one\ntwo\nthree"),
    # marks inside words, which WhatsApp does not read
    ("super**bold**ly", "superboldly"),
    ("请**立即**联系", "请立即联系"),
    ("**注意：**请联系", "注意：请联系"),
    ("الـ**كتاب** هنا", "الـكتاب هنا"),
    ("**مرحبا** بكم في *متجرنا*، اليوم", "*مرحبا* بكم في _متجرنا_، اليوم"),
    ("\u200f**ملاحظة**\u200f: نص", "\u200f*ملاحظة*\u200f: نص"),
    ("**2 * 3 = 6**", "2 * 3 = 6"),
    ("# Code *0* **is** it", "Code *0* *is it*"),
    ("line\r\n**x**", "line\n*x*"),
    # a word between double underscores, beside another sign of Markdown
    ("**Note**: it is __urgent__, (__today__).", "*Note*: it is *urgent*, (*today*)."),
    ("# Hours\n__الجمعة__ مغلق", "*Hours*\n*الجمعة* مغلق"),
    (
        "**Code**: __init__, __init__.py, a.__b__, __b__(), __my_name__",
        "*Code*: __init__, __init__.py, a.__b__, __b__(), __my_name__",
    ),
    # spaces that only a browser hides
    ("**a**\n\n\n\nb  \nc\t\n \n\t\nd", "*a*\n\nb\nc\n\nd"),
    ("# T\n\n```\nx  \n\n\n\ny\n```\n\n\nz", "*T*\n\n```\nx  \n\n\n\ny\n```\n\nz"),
]

STAYS = [
    "2*3*4 and 5 * 4 and 2**3**4 and a ** b ** c",
    "snake_case, __init__.py, __name__, file_name_x.txt, _private",
    "~10 minutes, ~5 km, ~~ and ~~~",
    "#1 and #hashtag\n#hashtag\n##5\n##NAME##\n##",
    "call +966 50 000 0000, *123# or *#06#",
    "$5 - $10, 5*10=50, 100%",
    "https://a.example/_foo_/*bar*/__baz__?x=a_b_c&y=~1~",
    "www.a.example/x_y_z and first_last@b.example",
    "https://a.example/**path** is new, https://a.example/~~path~~/x, www.a.example/**/a:**b",
    "https://a.example/**/*.js and https://b.example/**.js, **",
    "*bold* _italic_ ~strike~ `code` ```code```",
    "*Hours:*\n* one\n* two\n- three\n1. four\n> quote",
    "*_both_* and _*both*_",
    "> 50 people\n>50 people",
    "Use <name> and x < y > z and <b> alone",
    "[x](y) and f[0](1) and [note] and [ ] and [^0-9]",
    "[Note]: Nice",
    "C:\\Users\\name and a\\b",
    "    indented **",
    "Title\n=====\ntext\n-----\nmore",
    "~~~ Welcome ~~~\nto us",
    "| a | b |\n| c | d |",
    "AT&T, R&D, &c, &foo;",
    "1986. A great year\n- 5 degrees\n+ 5 points\n+966 5",
    "١. واحد\n٢. اثنان *ثلاثة*",
    "a  b   c \n\n\n\n d\t",
    "**",
    "****\n",
    "",
    "   ",
    "````\n```js\na\n```\n````",
    "<!-- nothing else -->",
    ":-* ^_^ *_* ;_;",
    "it is __urgent__ and __init__",
    "one  \n\n\n\ntwo",
    "pass **args and **kwargs to f, or 2 ** x ** 3",
    "use <p> and <li>, </ul> or <h2>",
    "| a | b |\n|---|---|\n| `x|y` | z |",
]


@pytest.mark.parametrize(("markdown", "expected"), WRITTEN_ANEW)
def test_markdown_is_written_anew(markdown: str, expected: str) -> None:
    assert converted(markdown) == expected


@pytest.mark.parametrize("text", STAYS)
def test_a_text_that_only_looks_like_markdown_stays(text: str) -> None:
    assert converted(text) == text


@pytest.mark.parametrize("sign", ["**b**", "# T", "[x](https://a.example)", "~~s~~", "```py\nx\n```"])
def test_one_star_is_italic_beside_markdown_and_bold_without(sign: str) -> None:
    assert converted("say *x*") == "say *x*"
    assert converted(f"say *x*\n\n{sign}").startswith("say _x_\n")


def test_the_end_of_an_answer_that_was_cut_off_does_not_change_what_stands_before() -> None:
    assert converted("# Hours\n\n**Monday** 9 to 5\n\n# ") == "*Hours*\n\n*Monday* 9 to 5\n\n#"


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        (
            "Prices:\n\n| Day | Hours |\n|---|--:|\n| Mon | **9-5** |\n| Tue | 10 |\n\nEnd",
            "Prices:\n\n*Day* – *Hours*\nMon: *9-5*\nTue: 10\n\nEnd",
        ),
        (
            "| Plan | Price | Users |\n|:--|---|:-:|\n| Basic | 10 | 5 |\n| Pro | | `x` |",
            "Plan: *Basic*\nPrice: 10\nUsers: 5\n\nPlan: *Pro*\nUsers: `x`",
        ),
        ("| One |\n|---|\n| a<br>b |", "*One*\na b"),
        ("| | A | B |\n|---|---|---|\n| x | 1 | 2 |", "*x*\nA: 1\nB: 2"),
        ("| A | B | C |\n|---|---|---|", "*A* – *B* – *C*"),
        ("| A | B |\n|---|---|\n| 1 | 2 |\nVAT included", "*A* – *B*\n1: 2\nVAT included"),
        ("> | A | B |\n> |---|---|\n> | 1 | 2 |", "> *A* – *B*\n> 1: 2"),
    ],
)
def test_a_table_becomes_lines(markdown: str, expected: str) -> None:
    assert converted(markdown) == expected


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("# T\n**b** *i* ~~s~~ `c` [x](https://a.example)", "T\nb i s c x (https://a.example)"),
        ("```py\nx\n```", "x"),
        ("*bold* and 2*3*4", "bold and 2*3*4"),
        ("**b** and *5*", "b and 5"),
        ("~s~ _i_ ~*both*~, (~a b~)", "s i both, (a b)"),
        ("`~c~` https://a.example/~u~/x a~b~c ~10, ~20", "~c~ https://a.example/~u~/x a~b~c ~10, ~20"),
        (
            "> one\n> > two\nlazy > x\n\n> - three\n> ```\n> x > y\n> ```",
            "one\ntwo\nlazy > x\n\n- three\nx > y",
        ),
        ("- > one\n  > two\n\n1. > three", "- one\n  two\n\n1. three"),
    ],
)
def test_plain_text_has_no_marks(markdown: str, expected: str) -> None:
    assert converted(markdown, has_marks=False) == expected


@pytest.mark.parametrize(
    ("block", "written"),
    [
        ("- **Plan** for *one*\n", "- *Plan* for _one_\n"),
        ("## Hours\n\n**Daily** from 9.\n\n", "*Hours*\n\n*Daily* from 9.\n\n"),
        ("```py\nx = a[1] * b[2]\n\ny = 2\n```\n\n", "```\nx = a[1] * b[2]\n\ny = 2\n```\n\n"),
        ("| a | b |\n|---|---|\n| **x** | 1 |\n\n", "*a* – *b*\n*x*: 1\n\n"),
    ],
)
def test_of_a_reply_that_is_too_much_the_first_blocks_are_converted(block: str, written: str) -> None:
    text = block * 2_500
    result = converted(text)
    count = result.count(written)
    assert 300 < count < 2_500
    assert result == (written * count + block * (2_500 - count))


def test_a_line_that_is_too_much_is_not_read() -> None:
    text = "**b** " * (CHARACTERS_MAX // 6 + 1)
    assert converted(text) == text
    assert converted(f"**a**\n\n{text}") == f"*a*\n\n{text}"


def test_long_answers_are_converted_to_the_end() -> None:
    row = "| **Plan** | 10 | [site](https://a.example) | yes | no |\n"
    table = "| a | b | c | d | e |\n|---|---|---|---|---|\n" + row * 200
    assert converted(table).endswith("a: *Plan*\nb: 10\nc: site (https://a.example)\nd: yes\ne: no\n")
    assert converted("- **Item**: a text, _as it is_.\n" * 800).endswith("- *Item*: a text, _as it is_.\n")
    assert "**" not in converted("A paragraph with **two bold** words in *it*, and so on.\n\n" * 800)


HOSTILE = (
    *(
        "*",
        "*a ",
        "*_",
        "[",
        "[a](",
        ">",
        "> ",
        "`",
        "`a``b",
        "<",
        "&",
        "![",
        "- a\n",
        "- ",
        "~~a ",
        "|a|b|\n|-|-|\n",
    ),
    *(
        "|",
        "a|b\n",
        "<!--",
        "\\*",
        " ",
        "\n",
        "a\n===\n",
        "[a](b",
        "<a:",
        "**a *b ",
        "__a__",
        "# ",
        "```\n",
        "~~~\n",
    ),
    *(
        "~~~ a b\n",
        "~~~a\n",
        "<b>",
        "<b>a</b>",
        "**a",
        "https://",
        "https://(",
        "**a:b",
        "[^1] ",
        "+ a\n",
        "<br>",
    ),
    *(
        "[a]: http://b\n[a]",
        "[s][s] ",
        "**" + "a" * 100,
        "a\n",
        "[a](http://b.c) ",
        "1. a\n\n",
        "<b>*",
        "a  \n",
        "$",
        "$$",
        "$a",
        "$x^2$",
        "\\(",
        "\\[",
        "\\[\\frac\n",
        "\\frac{",
        "$\\frac{a}{",
        "\\begin{cases}",
        "\\begin{cases}\n",
        "\\text{a}",
        "**a**\n\n\n",
    ),
)


@pytest.mark.timeout(120)
def test_the_time_grows_with_the_length() -> None:
    """A square of the length would take a minute."""
    for piece in HOSTILE:
        began = time.process_time()
        converted(affordable(piece * CHARACTERS_MAX))
        assert time.process_time() - began < 5, piece


STEPS_MAX = 16 * WORK_MAX
"""Limit on the calls of functions in one conversion; links that do not end need the most."""


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_hostile_markdown_takes_a_bounded_number_of_steps() -> None:
    for piece in (*HOSTILE, *MARKDOWN_PIECES):
        assert steps(converted, affordable(piece * CHARACTERS_MAX)) <= STEPS_MAX, piece
