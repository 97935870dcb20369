"""A stub makes the lines that read a script's inputs; a script that does not fit its stub fails at import."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest

from queue_core.keys import Key, KeySpace, Partition, Place
from queue_core.redis import scripts
from queue_core.redis.scripts import loader
from queue_core.redis.scripts.loader import Call, Digits, Now, Number, ScriptMismatchError, stub, text
from queue_core.redis.scripts.names import needed_part
from queue_core.settings import Rules
from tests.queue_core.searches.planting import ALL

_OF_THE_QUEUE = [call for call in Call.__subclasses__() if call.__module__ == scripts.__name__]
RULES = tuple(rule.name for rule in dataclasses.fields(Rules))
LIB = """
local function clock_ms(given)
  return given
end

local function schedule(place, rules)
  redis.call('ZADD', place.active, ALL_RULES, 'x')
end

local function settle(partition, at)
  schedule(partition, at)
end
""".replace("ALL_RULES", " + ".join(f"rules.{rule}" for rule in RULES))
DAMAGE = """
local function guarded(keys, now_ms, run)
  return redis.call('XLEN', keys.damaged) + now_ms + run()
end
"""
INPUTS: dict[str, Any] = {
    "place": Annotated[Place, "queue active conversation"],
    "rules": Rules,
    "kept": Key,
    "now_ms": Now,
    "token": Digits,
    "size": Number,
    "words": str,
}
BODY = """-- a script, with KEYS[9] in a comment
local function note(left, words)
  return left .. 'undeclared in a string' .. words
end

schedule(place, rules)
for index, item in ipairs({a = place.queue, b = place.conversation}) do
  redis.call('SET', kept, note(token, words) .. index .. item)
end
return now_ms + size
"""


@pytest.fixture
def define(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A function that makes a stub with given inputs of a script with a given text."""
    loader._read.cache_clear()
    monkeypatch.setattr(loader, "files", lambda _: tmp_path)
    for name in loader.LIBRARIES:
        text_of = {"lib": LIB, "damage": DAMAGE}.get(name, "")
        (tmp_path / f"{name}.lua").write_text(text_of, encoding="utf-8")

    def define(body: str = BODY, inputs: dict[str, Any] = INPUTS, *, mends: bool = False) -> Any:
        (tmp_path / "probe.lua").write_text(body, encoding="utf-8")
        fields = list(inputs.items())
        made: Any = msgspec.defstruct("Probe", fields, bases=(Call,), frozen=True, kw_only=True)
        return stub("probe", mends=mends)(made)

    yield define
    loader._read.cache_clear()


def test_the_lines_that_read_the_inputs_are_made_from_the_stub(define: Any) -> None:
    script = define().script
    rules = ", ".join(f"{rule} = tonumber(ARGV[{2 + at}])" for at, rule in enumerate(RULES))
    after = 2 + len(RULES)
    needed = LIB.partition("local function settle")[0].replace("\n\n", "\n").strip()
    assert script.source == (
        f"""{needed}
local place = {{queue = KEYS[1], active = KEYS[2], conversation = ARGV[1]}}
local rules = {{{rules}}}
local kept = KEYS[3]
local now_ms = clock_ms(ARGV[{after}])
local token = ARGV[{after + 1}]
local size = tonumber(ARGV[{after + 2}])
local words = ARGV[{after + 3}]

"""
        + BODY
    )
    assert script.sha == hashlib.sha1(script.source.encode()).hexdigest()


def test_a_script_gets_the_functions_and_constants_of_the_library_that_it_needs(define: Any) -> None:
    inputs = {"partition": Annotated[Partition, "active"], "rules": Rules}
    source = define("settle(partition, rules)\n", inputs).script.source
    assert re.findall(r"local (?:function )?(\w+)", source) == ["schedule", "settle", "partition", "rules"]
    assert "local LAYOUT_KNOWN = " in scripts.Claim.script.source
    assert "LAYOUT_KNOWN" not in scripts.Extend.script.source


LIB_ON_DEMAND = """
local LIMIT = 5
local function ring(place)
  redis.call('XADD', place.active, LIMIT)
end

local function mend(place)
  ring(place)
  return place.conversation
end

local function note(place)
  return on_demand().mend(place)
end

local function set_aside(place)
  return note(place) .. LIMIT
end
"""


def test_functions_on_demand_are_created_when_they_are_called() -> None:
    """A function that calls `on_demand` comes after it; a function on demand may call any other."""
    body = (
        "ring(place)\nif note(place) then\n  local demanded = on_demand()\n  demanded.set_aside(place)\nend\n"
    )
    assert needed_part(body, LIB_ON_DEMAND) == (
        """local LIMIT = 5
local function ring(place)
  redis.call('XADD', place.active, LIMIT)
end
local function on_demand()
  local function mend(place)
    ring(place)
    return place.conversation
  end
  local function note(place)
    return on_demand().mend(place)
  end
  local function set_aside(place)
    return note(place) .. LIMIT
  end
  return {mend = mend, set_aside = set_aside}
end
local function note(place)
  return on_demand().mend(place)
end"""
    )
    # Called directly as well, a function is an ordinary one.
    assert "\nlocal function mend(" in needed_part("mend(place)\nnote(place)\n", LIB_ON_DEMAND)
    assert "  local function mend(" not in needed_part("mend(place)\nnote(place)\n", LIB_ON_DEMAND)


def test_a_function_on_demand_that_does_not_exist_is_refused(define: Any) -> None:
    with pytest.raises(ScriptMismatchError, match=r"does not declare: \['mned'\]"):
        define(BODY.replace("return now_ms", "on_demand().mned(place)\nreturn now_ms"))


def test_a_call_travels_as_keys_then_arguments(define: Any) -> None:
    probe = define()
    place = KeySpace("wa", 1).of("bot", "1")
    rules = Rules(**dict(zip(RULES, range(1, 1 + len(RULES)), strict=True)))
    call = probe(place=place, rules=rules, kept="s", now_ms="", token=4, size=5, words="w")
    keys = (place.queue, place.active, "s")
    assert call.command() == (probe.script.sha, 3, *keys, "bot:1", *range(1, 1 + len(RULES)), "", 4, 5, "w")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("return now_ms", "return now", r"does not declare: \['now'\]"),
        ("note(token", "note(tokem", r"does not declare: \['tokem'\]"),
        ("+ size", "+ #KEYS", r"does not declare: \['KEYS'\]"),
        ("+ size", "+ ARGV[7]", r"does not declare: \['ARGV'\]"),
        (" + size", "", r"does not use \['size'\]"),
        ("schedule(place, rules)", "schedule(place, {})", r"does not use \['rules'\]"),
        ("place.conversation", "place.reply", r"declares \['active', 'conversation', 'queue'\]"),
        ("place.conversation", "1", r"uses \['active', 'queue'\] of place"),
        ("schedule(place, rules)", "note(rules, 1)", r"uses \['conversation', 'queue'\] of place"),
        (
            "return now_ms",
            "return rules.windov_ms + now_ms",
            r"uses \[.*'windov_ms'.*\] of rules",
        ),
    ],
)
def test_a_script_that_does_not_fit_its_stub_is_refused(
    define: Any, old: str, new: str, complaint: str
) -> None:
    assert old in BODY
    with pytest.raises(ScriptMismatchError, match=complaint):
        define(BODY.replace(old, new))


def test_fields_that_the_library_uses_in_nested_calls_count(define: Any) -> None:
    inputs = {"partition": Annotated[Partition, "active"], "rules": Rules}
    assert define("settle(partition, rules)\n", inputs).script.keys == ("partition.active",)
    with pytest.raises(ScriptMismatchError, match="of partition"):
        define("settle(partition, rules)\n", {**inputs, "partition": Annotated[Partition, "active wake"]})


@pytest.mark.parametrize(
    ("name", "declared", "complaint"),
    [
        ("size", int, "size is an int: declare it as Number or as Digits"),
        ("place", Annotated[Place, "queue active conversation nowhere"], "'nowhere'"),
        ("more", str, r"does not use \['more'\]"),
    ],
)
def test_a_stub_that_does_not_declare_its_inputs_exactly_is_refused(
    define: Any, name: str, declared: Any, complaint: str
) -> None:
    with pytest.raises(ScriptMismatchError, match=complaint):
        define(inputs={**INPUTS, name: declared})


def test_a_rule_that_lua_does_not_use_is_refused(define: Any) -> None:
    """A field of Rules whose part in `due_at` is still missing."""
    forgetful = BODY.replace("schedule(place, rules)", "redis.call('ZADD', place.active, rules.window_ms)")
    with pytest.raises(ScriptMismatchError, match=r"uses \['window_ms'\] of rules"):
        define(forgetful)


def test_a_script_that_mends_runs_inside_the_guard(define: Any) -> None:
    inputs = {**INPUTS, "place": Annotated[Place, "queue active conversation damaged"]}
    source = define(inputs=inputs, mends=True).script.source
    assert source.startswith(needed_part(BODY + "clock_ms guarded", f"{LIB}\n{DAMAGE}"))
    assert "\nlocal function guarded(" in source
    assert source.endswith(f"local function main()\n{BODY}\nend\nreturn guarded(place, now_ms, main)\n")
    with pytest.raises(ScriptMismatchError, match="of place"):
        define(mends=True)


@pytest.mark.parametrize("call", _OF_THE_QUEUE, ids=lambda call: call.__name__)
def test_an_input_misspelt_in_a_real_script_is_found(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read, script = loader._read, call.script
    for name in {path.partition(".")[0] for path in (*script.keys, *script.arguments)}:
        body = read(script.name)
        last_use = list(re.finditer(rf"(?<![\w.']){name}\b", body))[-1].start()
        texts = {library: read(library) for library in loader.LIBRARIES}
        texts |= {script.name: f"{body[:last_use]}mis_{body[last_use:]}"}
        monkeypatch.setattr(loader, "_read", texts.__getitem__)
        with pytest.raises(ScriptMismatchError, match=f"mis_{name}"):
            stub(script.name, mends="local function guarded(" in script.source)(call)


def test_every_script_has_a_stub_and_a_header_with_its_answers() -> None:
    folder = Path(str(scripts.__file__)).parent
    lua = {path.stem for path in folder.glob("*.lua")} - set(loader.LIBRARIES)
    assert {script.name for script in ALL} == lua
    for name in lua:
        header = (folder / f"{name}.lua").read_text(encoding="utf-8").split("\n\n", 1)[0]
        assert header.startswith(f"-- {name}: ")
        assert "-- Returns " in header


@pytest.mark.parametrize(
    ("raw", "expected"), [(b"held", "held"), ("held", "held"), ("é".encode(), "é"), (b"\xff", "�"), (5, "5")]
)
def test_text_reads_answers_of_clients_that_decode_and_of_others(raw: Any, expected: str) -> None:
    assert text(raw) == expected
