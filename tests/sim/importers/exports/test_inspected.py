"""Values as util.inspect prints them."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import pytest

from sim.importers.formats.console.inspected import CUT, InspectedError, read_value


@pytest.mark.parametrize(
    ("printed", "value"),
    [
        ("{ a: 'x', b: \"it's\", c: `it's \"both\"` }", {"a": "x", "b": "it's", "c": 'it\'s "both"'}),
        ("{ 'with-dash': 1, 2: 'two', $d: -3.5 }", {"with-dash": 1, "2": "two", "$d": -3.5}),
        ("{ gone: undefined, none: null, yes: true, nan: NaN }", {"none": None, "yes": True, "nan": None}),
        (
            "{ deep: [Object], list: [Array], f: [Function: f], at: [Getter] }",
            dict.fromkeys(("deep", "list", "f", "at"), CUT),
        ),
        ("<ref *1> { self: [Circular *1], n: 1 }", {"self": CUT, "n": 1}),
        ("{ raw: <Buffer 0a 0b ... 50 more bytes>, n: 1 }", {"raw": CUT, "n": 1}),
        ("Uint8Array(3) [ 1, 2, 3 ]", [1, 2, 3]),
        ("[ 1, 2, ... 98 more items ]", [1, 2]),
        ("[ 1, <2 empty items>, 4 ]", [1, 4]),
        ("Long { low: 5, high: 0, unsigned: true }", {"low": 5, "high": 0, "unsigned": True}),
        ("[Object: null prototype] { a: 1 }", {"a": 1}),
        ("Map(2) { 'a' => { x: 1 }, 'b' => [] }", {"a": {"x": 1}, "b": []}),
        ("{ s: Set(2) { 1, 'b' }, p: Promise { <pending> }, n: 1 }", {"s": [1, "b"], "p": [CUT], "n": 1}),
        (
            "{ at: 2024-06-11T10:00:00.000Z, big: 12345678901234567890n }",
            {"at": "2024-06-11T10:00:00.000Z", "big": 12345678901234567890},
        ),
        ("{ t: 'one\\n' +\n    'two', n: 1 }", {"t": "one\ntwo", "n": 1}),
        ("{ t: 'aaa'... 5 more characters, n: 1 }", {"t": "aaa", "n": 1}),
        (r"{ t: 'tab\t\x1B\u00e9\u{1F600} \\ \' end' }", {"t": "tab\t\x1bé😀 \\ ' end"}),
        (r"{ t: '\uD83D\uDE00', half: '\uD83D' }", {"t": "😀", "half": "\ufffd"}),
        (
            "{ e: Error: boom {\n    at f (x.js:1:2)\n    at g (y.js:3:4) {\n  code: 'E' },\n  n: 1 }",
            {"e": CUT, "n": 1},
        ),
        ("{ e: [TypeError: no, {], n: 1 }", {"e": CUT, "n": 1}),
        ("{ re: /a[/]b/gi, s: Symbol(x), [Symbol(k)]: 1, n: 1 }", {"re": CUT, "s": CUT, "n": 1}),
        ('{ "json": [1, {"a": "b"}], "n": null }', {"json": [1, {"a": "b"}], "n": None}),
        ("[ 1, 2, prop: 3 ]", [1, 2]),
    ],
)
def test_a_printed_value_is_read(printed: str, value: Any) -> None:
    assert read_value(printed) == (value, len(printed))


@pytest.mark.parametrize(
    "broken",
    [
        "{ a: 1",
        "{ a 1 }",
        "{ a: 'x }",
        "[ 1 2 ]",
        "{ : 1 }",
        "",
        "nothing",
        "{" * 5000,
        "[A] " * 5000 + "{}",
        "<ref *1> " * 5000,
    ],
)
def test_what_is_not_a_value_is_refused_in_words(broken: str) -> None:
    with pytest.raises(InspectedError):
        read_value(broken)


def test_a_cut_value_is_read_as_far_as_it_goes() -> None:
    whole = "{ key: { id: 'A', fromMe: false }, message: { conversation: 'a long text' }, at: 12 }"
    for end in range(1, len(whole)):
        value, position = read_value(whole[:end], is_cut=True)
        assert position == end
        assert isinstance(value, dict)
    value, _ = read_value(whole[: whole.index("long")], is_cut=True)
    assert value == {"key": {"id": "A", "fromMe": False}, "message": {"conversation": "a "}}


_SCRIPT = """
const util = require('util');
class Long { constructor() { this.low = 5; this.high = 0; this.unsigned = true; } }
const value = {
  key: { remoteJid: '1@s.whatsapp.net', fromMe: false, id: '3A', senderPn: undefined },
  both: `it's "q"`, all: "it's \\"q\\" `b`", long: 'x'.repeat(90) + '\\n' + 'y'.repeat(90), emoji: '\\u{1F600}\\u200e',
  big: 12n, f() {}, c: class A extends Array {}, d: new Date(0), bad: new Date(NaN), re: /a[/]b/gi,
  buffer: Buffer.alloc(100), bytes: new Uint8Array(200), map: new Map([['a', { x: 1 }]]), set: new Set([1]),
  error: Object.assign(new Error('boom: {'), { code: 'E' }), long_: new Long(), deep: { a: { b: { c: { d: 1 } } } },
  sparse: [1, , 3], bare: Object.assign(Object.create(null), { z: 1 }), boxed: [new Number(3), new String('s')],
  get g() { return 1; }, p: Promise.resolve(4), symbol: Symbol('x'), [Symbol('k')]: 1, args: (function () { return arguments; })(1),
  list: Array.from({ length: 150 }, (_, i) => i), weak: new WeakMap(), messageTimestamp: 1739300712,
};
value.self = value;
for (const options of [{}, { depth: 10 }, { compact: false }, { breakLength: Infinity }, { depth: 0 }])
  console.log(util.inspect(value, options) + '\\u0000');
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_node_itself_prints_what_is_read() -> None:
    printed = subprocess.run(["node", "-e", _SCRIPT], capture_output=True, text=True, check=True).stdout
    values = [text.strip() for text in printed.split("\0") if text.strip()]
    assert len(values) == 5
    for text in values:
        value, end = read_value(text)
        assert end == len(text)
        assert value["messageTimestamp"] == 1739300712
        assert value["both"] == 'it\'s "q"'
    assert read_value(values[1])[0]["deep"] == {"a": {"b": {"c": {"d": 1}}}}
