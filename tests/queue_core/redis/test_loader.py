"""A stub that does not fit its script, or a script that reads its inputs in another way, fails at import."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from queue_core.redis import scripts
from queue_core.redis.scripts import Call, LuaScript, ScriptMismatchError, loader
from queue_core.redis.scripts.loader import Key, stub, text
from tests.queue_core.searches.planting import ALL

SOUND = "-- a script\nlocal queue = KEYS[1]\nlocal now_ms = ARGV[1]\nlocal size = tonumber(ARGV[2])\nreturn size\n"


@pytest.fixture
def script_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Makes a LuaScript of the text given, as if it lay beside the real ones."""
    (tmp_path / "lib.lua").write_text("local shared = 1\n", encoding="utf-8")
    monkeypatch.setattr(loader, "files", lambda _: tmp_path)

    def script_of(body: str) -> LuaScript:
        (tmp_path / "probe.lua").write_text(body, encoding="utf-8")
        return LuaScript("probe")

    return script_of


def test_a_script_knows_its_inputs_in_order(script_of: Any) -> None:
    script = script_of(SOUND)
    assert script.keys == ("queue",)
    assert script.arguments == ("now_ms", "size")
    assert script.source == f"local shared = 1\n\n{SOUND}"
    assert script.sha == hashlib.sha1(script.source.encode()).hexdigest()


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (SOUND.replace("KEYS[1]", "KEYS[2]"), "KEYS are not numbered"),
        (SOUND.replace("ARGV[2]", "ARGV[3]"), "ARGV are not numbered"),
        (SOUND.replace("ARGV[2]", "ARGV[1]"), "ARGV are not numbered"),
        (SOUND.replace("return size", "return ARGV[2]"), "other than in one"),
        (SOUND.replace("return size", "return #KEYS"), "other than in one"),
        (SOUND.replace("local size", "size"), "other than in one"),
        (SOUND.replace("tonumber(ARGV[2])", "ARGV[2] + 1"), "other than in one"),
    ],
)
def test_a_script_that_reads_its_inputs_otherwise_is_refused(
    script_of: Any, body: str, complaint: str
) -> None:
    with pytest.raises(ScriptMismatchError, match=complaint):
        script_of(body)


def test_inputs_in_comments_do_not_count(script_of: Any) -> None:
    assert script_of(SOUND + "-- KEYS[9] is not there\n").keys == ("queue",)


def test_a_stub_that_fits_is_taken_and_makes_the_command(script_of: Any) -> None:
    probe = script_of(SOUND)

    @stub
    class Probe(Call[int], frozen=True, kw_only=True):
        script: ClassVar[LuaScript] = probe
        queue: Key
        now_ms: int
        size: int

    assert Probe(queue="q", now_ms=1, size=2).command() == (probe.sha, 1, "q", 1, 2)


def _define(probe: LuaScript, fields: list[tuple[str, Any]]) -> None:
    made: Any = msgspec.defstruct(
        "Probe", fields, bases=(Call,), namespace={"script": probe}, frozen=True, kw_only=True
    )
    made.__annotations__["script"] = ClassVar[LuaScript]
    stub(made)


@pytest.mark.parametrize(
    "fields",
    [
        [("queue", Key), ("now_ms", int)],
        [("queue", Key), ("now_ms", int), ("size", int), ("more", int)],
        [("queue", Key), ("size", int), ("now_ms", int)],
        [("queue", Key), ("now_ms", int), ("sise", int)],
        [("queue", str), ("now_ms", int), ("size", int)],
        [("queue", Key), ("now_ms", Key), ("size", int)],
        [("now_ms", int), ("queue", Key), ("size", int)],
        [],
    ],
    ids=[
        "one missing",
        "one too many",
        "swapped",
        "misspelt",
        "key as argument",
        "argument as key",
        "key late",
        "none",
    ],
)
def test_a_stub_that_does_not_fit_is_refused(script_of: Any, fields: list[tuple[str, Any]]) -> None:
    with pytest.raises(ScriptMismatchError, match=r"Probe has keys .*probe\.lua has"):
        _define(script_of(SOUND), fields)


def test_every_script_has_a_stub_and_a_header_with_its_answers() -> None:
    folder = Path(str(scripts.__file__)).parent
    lua = {path.stem for path in folder.glob("*.lua")} - {"lib"}
    assert {script.name for script in ALL} == lua
    for name in lua:
        header = (folder / f"{name}.lua").read_text(encoding="utf-8").split("\n\n", 1)[0]
        assert header.startswith(f"-- {name}: ")
        assert "-- Returns " in header


@pytest.mark.parametrize(
    ("raw", "expected"), [(b"held", "held"), ("held", "held"), ("é".encode(), "é"), (b"\xff", "�"), (5, "5")]
)
def test_text_reads_answers_of_either_kind_of_client(raw: Any, expected: str) -> None:
    assert text(raw) == expected
