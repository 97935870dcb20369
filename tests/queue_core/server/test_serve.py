"""`serve` as an operator runs it: everything in one process, with a redis-server of its own."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from queue_core import connect
from queue_core.redis_server.embedded import EmbeddedRedis
from tests.queue_core.server.deployment import QUICK, Process, running
from tests.queue_core.server.outside import Outside, evolution, outside
from tests.sim.command_line import sim

TOKEN = "operator-token-of-the-test"


async def test_a_burst_in_three_posts_is_one_turn_and_one_reply(tmp_path: Path) -> None:
    """Webhook, queue, worker, AI, reply; and "typing…" as soon as the first message is queued."""
    async with (
        outside() as world,
        running("serve", environment={**QUICK, **world.environment()}, folder=tmp_path) as server,
    ):
        for number in range(3):
            answer = await server.post("/webhook/evolution", evolution(f"m{number}", f"line {number}"))
            assert answer == (200, {"queued": 1})
        await world.wait_until_sent(["m0", "m1", "m2"])
        assert world.sent == [("966500000001", "re m0 m1 m2")]
        assert world.texts == ["line 0\nline 1\nline 2"]
        assert world.typing == ["966500000001"]


async def test_the_defaults_echo_on_the_terminal(tmp_path: Path) -> None:
    """`make serve`: no AI and no channel configured."""
    async with running("serve", environment=QUICK, folder=tmp_path) as server:
        for number in range(3):
            await server.post("/webhook/evolution", evolution(f"m{number}", f"line {number}"))
        await server.wait_for_output("line 2")
        server.signal(signal.SIGTERM)
        assert await server.wait_for_exit() == 0
    assert server.printed == ["→ bot/966500000001, 3 messages:", "  line 0", "  line 1", "  line 2"]


async def test_risks_of_its_own_redis_are_logged_once_and_are_not_warnings(tmp_path: Path) -> None:
    environment = {**QUICK, "OPERATOR_TOKEN": TOKEN}
    async with running("serve", environment=environment, folder=tmp_path) as server:
        async with connect((tmp_path / "data" / "redis.url").read_text().strip()) as client:
            await client.config_set("maxmemory-policy", "allkeys-lru")
        await post_monitor(server, 503)
        await server.wait_for_event("health: maxmemory-policy is allkeys-lru")
    said = [(event["level"], event["event"]) for event in server.events]
    for words in (
        "a crash of the machine, or of Redis while its disk is slow, can lose",
        "maxmemory is not set",
    ):
        assert [level for level, event in said if words in event] == ["info"]


async def test_the_same_risks_of_another_redis_are_warnings(
    redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    environment = {**QUICK, "OPERATOR_TOKEN": TOKEN, "REDIS_URL": redis_server.url}
    async with running("serve", environment=environment, folder=tmp_path) as server:
        await post_monitor(server, 200)
        assert (await server.wait_for_event("health: maxmemory is not set", times=2))["level"] == "warning"


async def post_monitor(server: Process, status: int) -> None:
    """Post to /queue-monitor, which must answer with `status`."""
    answer, _ = await server.post("/queue-monitor", {}, headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer == status


async def test_a_delivery_repeated_adds_nothing(tmp_path: Path) -> None:
    async with (
        outside() as world,
        running("serve", environment={**QUICK, **world.environment()}, folder=tmp_path) as server,
    ):
        assert await server.post("/webhook/evolution", evolution("m1")) == (200, {"queued": 1})
        assert await server.post("/webhook/evolution", evolution("m1")) == (200, {"duplicate": 1})
        await world.wait_until_sent(["m1"])
        assert await server.post("/webhook/evolution", evolution("m1")) == (200, {"duplicate": 1})
        await server.post("/webhook/evolution", evolution("m2"))
        await world.wait_until_sent(["m2"])
        world.check_answered_once(["m1", "m2"])


async def test_a_failure_that_is_reported_before_the_send_is_answered_reaches_the_conversation(
    tmp_path: Path,
) -> None:
    key = {"remoteJid": "77@lid", "fromMe": True, "id": "out"}
    failure = {"event": "messages.update", "instance": "bot", "data": {"key": key, "status": "ERROR"}}
    async with (
        outside() as world,
        running("serve", environment={**QUICK, **world.environment()}, folder=tmp_path) as server,
    ):
        world.after_send.shut()
        await server.post("/webhook/evolution", evolution("m1"))
        await world.after_send.wait_for_request()
        assert await server.post("/webhook/evolution", failure) == (200, {"skipped": {"failed delivery": 1}})
        assert (await server.wait_for_event("a reply did not reach its user"))["outcome"] == "not known yet"
        world.after_send.open()
        line = await server.wait_for_event("a reply did not reach its user", times=2)
        assert (line["outcome"], line["conversation"]) == (
            "noted",
            (await server.wait_for_event("turn completed"))["conversation"],
        )
        world.check_answered_once(["m1"])


async def test_a_message_that_comes_while_the_ai_works_waits_if_the_ai_may_have_side_effects(
    tmp_path: Path,
) -> None:
    """AI=http; the log says why, and which setting changes it."""
    async with (
        outside() as world,
        running("serve", environment={**QUICK, **world.environment()}, folder=tmp_path) as server,
    ):
        rules = await server.wait_for_event("profile plan: a message that arrives while the AI works waits")
        assert "QUEUE_SUPERSEDE_MS=45000" in rules["event"]
        assert (rules["window_ms"], rules["max_messages"], rules["supersede_ms"]) == (300, 5, 0)
        await answer_m1_while_m2_comes(world, server)
        assert world.sent == [("966500000001", "re m1"), ("966500000001", "re m2")]


async def test_a_message_that_comes_while_the_ai_works_joins_its_turn(tmp_path: Path) -> None:
    async with outside() as world:
        environment = {**QUICK, **world.environment(), "QUEUE_SUPERSEDE_MS": "45000"}
        async with running("serve", environment=environment, folder=tmp_path) as server:
            await server.wait_for_event(
                "profile plan: a message that arrives while the AI works joins its turn"
            )
            await answer_m1_while_m2_comes(world, server)
            assert world.asked == [("m1",), ("m1", "m2")]
            assert world.sent == [("966500000001", "re m1 m2")]
            assert (await server.wait_for_event("turn superseded"))["level"] == "info"
            _, metrics = await server.get("/metrics")
    assert 'burstqueue_batches_total{outcome="superseded",trigger="window"} 1.0' in metrics


async def answer_m1_while_m2_comes(world: Outside, server: Process) -> None:
    """Post a message, a second one once the AI works on the first, and wait until both are answered."""
    world.before_ai.shut()
    await server.post("/webhook/evolution", evolution("m1"))
    await world.before_ai.wait_for_request()
    await server.post("/webhook/evolution", evolution("m2"))
    world.before_ai.open()
    await world.wait_until_sent(["m1", "m2"])


async def test_a_patient_bot_answers_after_a_silence_however_many_messages_there_are(tmp_path: Path) -> None:
    environment = {**QUICK, "QUEUE_PROFILE": "patient", "QUEUE_IDLE_MS": "2000"}
    async with running("serve", environment=environment, folder=tmp_path) as server:
        rules = await server.wait_for_event(
            "profile patient: a message that arrives while the AI works joins its turn"
        )
        assert (rules["idle_ms"], rules["cap_ms"], rules["max_messages"]) == (2_000, 45_000, 0)
        posts = [server.post("/webhook/evolution", evolution(f"m{number}")) for number in range(7)]
        assert [status for status, _ in await asyncio.gather(*posts)] == [200] * 7
        await server.wait_for_output("7 messages")
        await server.wait_for_event("turn completed")
    assert len([event for event in server.events if event["event"] == "turn completed"]) == 1


async def test_a_turn_in_progress_at_a_restart_is_answered_after_it(tmp_path: Path) -> None:
    """SIGTERM while the AI works, and GRACE_S is short: handed back, kept on disk, answered by the next process."""
    async with outside() as world:
        environment = {**QUICK, **world.environment(), "GRACE_S": "0"}
        world.before_ai.shut()
        async with running("serve", environment=environment, folder=tmp_path) as server:
            await server.post("/webhook/evolution", evolution("m1"))
            await world.before_ai.wait_for_request()
            server.signal(signal.SIGTERM)
            assert await server.wait_for_exit() == 0
        world.before_ai.open()
        async with running("serve", environment=environment, folder=tmp_path):
            await world.wait_until_sent(["m1"])
        world.check_answered_once(["m1"])


async def test_killed_with_its_redis_it_loses_nothing(tmp_path: Path) -> None:
    """kill -9: the redis-server goes down with it, in good order, and the next one has everything."""
    async with outside() as world:
        environment = {**QUICK, **world.environment()}
        world.before_ai.shut()
        async with running("serve", environment=environment, folder=tmp_path) as server:
            await server.post("/webhook/evolution", evolution("m1"))
            await server.post("/webhook/evolution", evolution("m2", phone="966500000002"))
            await world.before_ai.wait_for_request()
            server.signal(signal.SIGKILL)
            await server.wait_for_exit()
        world.before_ai.open()
        async with running("serve", environment=environment, folder=tmp_path):
            await world.wait_until_sent(["m1", "m2"])
        world.check_answered_once(["m1", "m2"])


async def test_a_redis_server_that_dies_is_started_again(tmp_path: Path) -> None:
    async with (
        outside() as world,
        running("serve", environment={**QUICK, **world.environment()}, folder=tmp_path) as server,
    ):
        await server.post("/webhook/evolution", evolution("m1"))
        await world.wait_until_sent(["m1"])
        async with connect((tmp_path / "data" / "redis.url").read_text().strip()) as client:
            pid = (await client.info("server"))["process_id"]
        os.kill(pid, signal.SIGKILL)
        await server.wait_for_event("redis-server died")
        assert (await server.post("/webhook/evolution", evolution("m2")))[0] == 200
        await world.wait_until_sent(["m2"])
        world.check_answered_once(["m1", "m2"])


async def test_a_live_recording_can_be_replayed(tmp_path: Path) -> None:
    """The recording of a burst through the webhook has no number and no text, and the simulator replays it."""
    settings = {**QUICK, "RECORD_TO": "recordings", "RECORD_KEY": "a key"}
    async with (
        outside() as world,
        running("serve", environment={**settings, **world.environment()}, folder=tmp_path) as server,
    ):
        for number in range(3):
            await server.post("/webhook/evolution", evolution(f"m{number}", "a private matter"))
        await world.wait_until_sent(["m0", "m1", "m2"])
        await server.wait_for_event("turn completed")
        server.signal(signal.SIGTERM)
        assert await server.wait_for_exit() == 0
    (recorded,) = (tmp_path / "recordings").iterdir()
    text = recorded.read_text("utf-8")
    assert [part in text for part in ("966500000001", "private")] == [False, False]
    assert [text.count(f'"event":"{event}"') for event in ("message", "batch", "reply", "sent")] == [
        3,
        1,
        1,
        1,
    ]
    options = ("--system", "queue", "--report", "report.html")
    replayed = await asyncio.to_thread(sim, "replay", recorded, *options, cwd=tmp_path)
    assert replayed.returncode == 0


async def test_a_monitor_needs_no_ai_and_warns_of_none(tmp_path: Path, redis_server: EmbeddedRedis) -> None:
    environment = {**QUICK, "REDIS_URL": redis_server.url, "MONITOR_EVERY_S": "1"}
    async with running("monitor", environment=environment, folder=tmp_path, ready="health") as monitor:
        await monitor.wait_for_event("health", times=2)
        assert not [
            event for event in monitor.events if "echo" in event["event"] or "channel" in event["event"]
        ]
