"""`status`: figures, once or with `--watch`."""

from __future__ import annotations

import asyncio
import json

import pytest

from queue_core.redis_server.embedded import EmbeddedRedis
from tests.queue_core.bot import eventually
from tests.queue_core.server.operator.console import HOSTILE, Console, settings_for


async def test_status_has_figures_and_who_is_next(console: Console) -> None:
    await console.put_dead_letter("one", "gave up", phone="203")
    await console.put("two", phone="201")
    await console.put("three", phone="202")
    shown = await console.run("status")
    assert shown.code == 0
    assert next(line for line in shown.lines if line.startswith("dead letters")).split()[-1] == "1"
    assert any(line.startswith("bot ") and "202" in line for line in shown.lines)


async def test_status_as_json(console: Console) -> None:
    for number in range(12):
        await console.put(f"m{number}", phone=f"2{number:02}")
    answer = (await console.run("status", "--json", "--limit", "3")).json
    assert answer["waiting"] == 12
    assert [turn["userPhone"] for turn in answer["nextDue"]] == ["200", "201", "202"]
    assert all(turn["attentionInMs"] <= 20 for turn in answer["nextDue"])
    shown = await console.run("status")
    assert shown.lines[-1] == "and 2 conversations more: --limit N lists more of them"
    assert "and " not in (await console.run("status", "--limit", "12")).lines[-1]


async def test_status_keeps_hostile_names_on_their_line(console: Console) -> None:
    await console.put("one", phone=HOSTILE, instance=HOSTILE)
    shown = await console.run("status")
    assert not set(shown.out) & set("\x1b\x07\u202e")
    assert shown.lines[-1].startswith(r"ev:il{0}\n\x1b[2J\u202eeman \x07*  ev:il{0}")
    assert json.loads((await console.run("status", "--json")).out)["nextDue"][0]["userPhone"] == HOSTILE


async def test_status_watches_through_an_outage(
    redis_server: EmbeddedRedis, capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console(settings_for(redis_server.url), capsys)
    watch = console.start("status", "--watch", "20ms", "--json")
    out = err = ""

    def seen() -> tuple[str, str]:
        nonlocal out, err
        captured = capsys.readouterr()
        out, err = out + captured.out, err + captured.err
        return out, err

    await eventually(lambda: len(seen()[0].splitlines()) >= 2, "two outputs")
    redis_server.kill()
    await eventually(lambda: "queue_core: Redis" in seen()[1], "it says that Redis is away")
    redis_server.restart()
    out = ""
    await eventually(lambda: out.splitlines() or seen()[0], "it goes on")
    watch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watch
    assert json.loads(out.splitlines()[0])["reachable"] is True


async def test_status_clears_no_screen_without_a_terminal(console: Console) -> None:
    watch = console.start("status", "--watch", "10ms")
    out = ""

    def outputs() -> int:
        nonlocal out
        out += console.capsys.readouterr().out
        return out.count("dead letters")

    await eventually(lambda: outputs() >= 2, "two outputs")
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
    assert "\x1b" not in out
