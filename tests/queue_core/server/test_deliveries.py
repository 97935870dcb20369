"""Reports of providers on replies: copies of replies count as the bot's, failures reach their conversation."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import msgspec
import pytest
from aiohttp import web

from queue_core import Batch, QueueMessage, QueueUnavailableError
from queue_core.channels.cloud.errors import meaning_of
from queue_core.channels.cloud.example import webhook_of
from queue_core.queue.upkeep import sent_replies
from queue_core.redis_server.embedded import EmbeddedRedis
from queue_core.sent import SentPart
from queue_core.server import deliveries
from tests.queue_core.bot import at_rest, eventually, running
from tests.queue_core.server.outside import evolution
from tests.queue_core.server.site import Site, open_site
from tests.queue_core.stub_http import Answer, Stub, batch, serving

MakeSite = Callable[..., AbstractAsyncContextManager[Site]]
PHONE = "966500000001"


@pytest.fixture
def make_site(redis_server: EmbeddedRedis) -> MakeSite:
    """Return a function that opens a site with given settings."""
    return partial(open_site, REDIS_URL=redis_server.url)


@pytest.fixture
async def site(make_site: MakeSite) -> AsyncIterator[Site]:
    """Open a site with the default settings."""
    async with make_site() as made:
        yield made


def own_message(message_id: str = "out", address: str = f"{PHONE}@s.whatsapp.net") -> dict[str, Any]:
    """Make a webhook of Evolution with a message of the bot's number."""
    key = {"remoteJid": address, "fromMe": True, "id": message_id}
    return evolution("x", key=key)


REASON = f"{meaning_of(131026).words}: Message undeliverable"
"""Words for the reason: the meaning of the code, then the title that Meta gives."""


def failure(message_id: str = "wamid.out", code: int = 131026) -> dict[str, Any]:
    """Make a webhook of the Cloud API: a reply did not arrive."""
    body = webhook_of(instance="1001")
    error = {"code": code, "title": "Message undeliverable"}
    status = {"id": message_id, "status": "failed", "recipient_id": "999", "errors": [error]}
    body["entry"][0]["changes"][0]["value"]["statuses"] = [status]
    return body


def turn(instance: str = "1001") -> Batch:
    return batch("is it open?", instance=instance, phone=PHONE, channel="cloud", kind="text")


async def counts(site: Site, metric: str) -> dict[str, str]:
    """Return the values of a metric by its label."""
    exposition = await (await site.client.get("/metrics")).text()
    lines = [line for line in exposition.splitlines() if line.startswith(f"burstqueue_{metric}_total")]
    return {line.partition('"')[2].partition('"')[0]: line.rpartition(" ")[2] for line in lines}


async def test_a_copy_of_a_reply_is_counted_as_the_bots_and_other_messages_are_not(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "queue_core.events")
    await site.runtime.queue.sent.note(turn("bot"), [SentPart("out", "yes")])
    for body in (own_message(), own_message("typed"), own_message("in a group", "1-2@g.us")):
        assert (await site.post("/webhook/evolution", body))[0] == 200
    assert await counts(site, "own_messages") == {"bot": "1.0", "others": "0.0", "unknown": "0.0"}
    await site.runtime.deliveries.settle()
    assert await counts(site, "own_messages") == {"bot": "1.0", "others": "0.0", "unknown": "0.0"}, (
        "too early to tell"
    )
    queue = site.runtime.queue
    later_ms = await queue.now_ms() + queue.sent.echo_ms
    monkeypatch.setattr(
        queue.sent, "_access", dataclasses.replace(queue.sent._access, clock=lambda: later_ms)
    )
    await site.runtime.deliveries.settle()
    assert await counts(site, "own_messages") == {"bot": "1.0", "others": "1.0", "unknown": "0.0"}
    assert "a message of the bot's number that the bot did not send" in caplog.text
    assert not any("typed" in record.__dict__.values() for record in caplog.records), "an id can hold a phone"
    assert await site.all_queued() == []


async def test_a_copy_that_comes_before_the_send_is_answered_is_the_bots(make_site: MakeSite) -> None:
    """The copy is posted while the send API still holds its answer back."""
    answers: list[Any] = []
    sites: list[Site] = []

    class CopyFirst(Stub):
        async def handle(self, request: web.Request) -> web.StreamResponse:
            answers.append(await sites[0].post("/webhook/evolution", own_message("3EB0", "77@lid")))
            answers.append(await counts(sites[0], "own_messages"))
            return await super().handle(request)

    async with serving(CopyFirst([Answer({"key": {"id": "3EB0", "fromMe": True}}, status=201)])) as api:
        settings = {"EVOLUTION_URL": api.url, "EVOLUTION_API_KEY": "key", "TYPING": "false"}
        async with make_site(QUEUE_WINDOW_MS="20", AI="echo", **settings) as site:
            sites.append(site)
            async with running(site.runtime.new_processor()):
                await site.post("/webhook/evolution", evolution("m1"))
                await at_rest(site.runtime.queue)
            await site.runtime.deliveries.settle()
            assert await counts(site, "own_messages") == {"bot": "1.0", "others": "0.0", "unknown": "0.0"}
            await site.post("/webhook/evolution", own_message("3EB0"))
            assert await counts(site, "own_messages") == {"bot": "2.0", "others": "0.0", "unknown": "0.0"}
    assert answers == [(200, {"skipped": {"own": 1}}), {"bot": "0.0", "others": "0.0", "unknown": "0.0"}]


async def test_after_a_send_without_an_answer_the_writer_counts_as_unknown(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = site.runtime.queue
    await queue.sent.note_again(turn("bot"))
    other = own_message("typed", "966500000002@s.whatsapp.net")
    for body in (own_message("lost"), other):
        await site.post("/webhook/evolution", body)
    later_ms = await queue.now_ms() + queue.sent.echo_ms
    monkeypatch.setattr(
        queue.sent, "_access", dataclasses.replace(queue.sent._access, clock=lambda: later_ms)
    )
    await site.runtime.deliveries.settle()
    assert await counts(site, "own_messages") == {"bot": "0.0", "others": "1.0", "unknown": "1.0"}


async def test_a_failure_is_noted_in_the_conversation_of_the_reply(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    await site.runtime.queue.sent.note(turn(), [SentPart("wamid.out", "yes")])
    for _ in range(2):  # providers repeat themselves
        assert await site.post("/webhook/cloud", failure()) == (200, {"skipped": {"failed delivery": 1}})
    (noted,) = (await site.runtime.queue.conversation("1001", PHONE)).undelivered
    assert (noted.reply_id, noted.code, noted.reason) == ("wamid.out", "131026", REASON)
    assert await counts(site, "replies_undelivered") == {"error 131026": "1.0"}
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert record.getMessage() == f"a reply did not reach its user: {REASON}"
    assert record.__dict__["conversation"] == site.runtime.tags.of("1001", PHONE)
    assert record.__dict__["outcome"] == "noted"
    assert "wamid.out" not in record.__dict__.values(), "Meta's ids hold the phone number"
    assert await site.runtime.queue.dead_letters() == []
    assert await site.all_queued() == []


async def test_a_failure_that_comes_before_the_id_is_noted_reaches_the_conversation(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        await site.post("/webhook/cloud", failure())
    await site.runtime.deliveries.settle()
    assert not (await site.runtime.queue.conversation("1001", PHONE)).is_known
    await site.runtime.queue.sent.note(turn(), [SentPart("wamid.out", "yes")])
    await site.runtime.deliveries.settle()
    assert len((await site.runtime.queue.conversation("1001", PHONE)).undelivered) == 1
    assert await counts(site, "replies_undelivered") == {"error 131026": "1.0"}, "counted once"
    outcomes = [record.__dict__["outcome"] for record in caplog.records if "outcome" in record.__dict__]
    assert outcomes == ["not known yet", "noted"]


async def test_the_monitor_finds_the_reports_of_a_process_that_died(make_site: MakeSite) -> None:
    async with make_site() as first:
        await first.post("/webhook/cloud", failure())
        await first.runtime.queue.sent.note(turn(), [SentPart("wamid.out", "yes")])
    async with make_site() as other:
        await other.runtime.deliveries.settle()
        assert not (await other.runtime.queue.conversation("1001", PHONE)).is_known
        await other.runtime.examine_and_repair()
        assert len((await other.runtime.queue.conversation("1001", PHONE)).undelivered) == 1


async def test_a_web_process_checks_its_reports_again_and_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "LOOK_EVERY_S", 0.01)
    queue = site.runtime.queue
    looks = 0
    match = queue.sent.match

    async def sometimes_away(partition: Any) -> Any:
        nonlocal looks
        looks += 1
        if looks == 2:
            raise QueueUnavailableError("away")
        return await match(partition)

    monkeypatch.setattr(queue.sent, "match", sometimes_away)
    watching = asyncio.create_task(site.runtime.deliveries.watch())
    try:
        await site.post("/webhook/cloud", failure())
        await eventually(lambda: looks > 3, "it looks again and again")
        await queue.sent.note(turn(), [SentPart("wamid.out", "yes")])
        await eventually(lambda: not queue.sent.waiting(), "the report is settled")
        assert len((await queue.conversation("1001", PHONE)).undelivered) == 1
    finally:
        watching.cancel()


async def test_a_post_of_a_thousand_failures(site: Site) -> None:
    """Meta sends up to a thousand updates in one post; half of them come before their ids are noted."""
    queue = site.runtime.queue
    parts = [SentPart(f"wamid.{number}", "yes") for number in range(1_000)]
    await queue.sent.note(turn(), parts[:500])
    body = failure()
    value = body["entry"][0]["changes"][0]["value"]
    value["statuses"] = [value["statuses"][0] | {"id": part.id} for part in parts]
    assert await site.post("/webhook/cloud", body) == (200, {"skipped": {"failed delivery": 1_000}})
    await queue.sent.note(turn(), parts[500:])
    for _ in range(2):
        await site.runtime.deliveries.settle()
    assert not queue.sent.waiting()
    (partition,) = queue.keys.partitions
    assert await queue.redis.hlen(partition.reports) == await queue.redis.zcard(partition.reports_due) == 0
    assert len((await queue.conversation("1001", PHONE)).undelivered) == sent_replies.UNDELIVERED_MAX
    assert await counts(site, "replies_undelivered") == {"error 131026": "1000.0"}


async def test_a_failed_delivery_becomes_a_dead_letter_by_setting(make_site: MakeSite) -> None:
    async with make_site(QUEUE_DELIVERY_FAILURES="dead-letter") as site:
        await site.runtime.queue.sent.note(turn(), [SentPart("wamid.out", "yes")])
        await site.post("/webhook/cloud", failure())
        (letter,) = await site.runtime.queue.dead_letters()
        exposition = await (await site.client.get("/metrics")).text()
    assert (letter.reply, letter.reason) == ("yes", f"undelivered: error 131026: {REASON}")
    assert isinstance(letter.message, QueueMessage)
    assert letter.message.message == "is it open?"
    assert "burstqueue_dead_letters_total 1.0" in exposition


async def test_a_post_that_is_delivered_again_makes_no_second_dead_letters(make_site: MakeSite) -> None:
    """Meta repeats posts, and may report more failures of one conversation than the conversation keeps."""
    parts = [SentPart(f"wamid.{number}", "yes") for number in range(sent_replies.UNDELIVERED_MAX + 5)]
    body = failure()
    value = body["entry"][0]["changes"][0]["value"]
    value["statuses"] = [value["statuses"][0] | {"id": part.id} for part in parts]
    async with make_site(QUEUE_DELIVERY_FAILURES="dead-letter") as site:
        for number, part in enumerate(parts):
            await site.runtime.queue.sent.note(msgspec.structs.replace(turn(), token=number + 1), [part])
        for _ in range(3):
            await site.post("/webhook/cloud", body)
        assert len(await site.runtime.queue.dead_letters()) == len(parts)
        assert await counts(site, "replies_undelivered") == {"error 131026": f"{len(parts)}.0"}


async def test_a_failure_that_cannot_be_stored_is_delivered_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> None:
        raise QueueUnavailableError("away")

    monkeypatch.setattr(site.runtime.queue.sent, "report", away)
    status, answer = await site.post("/webhook/cloud", failure())
    assert (status, answer["failed"]) == (503, 1)
    assert (await site.post("/webhook/evolution", own_message()))[0] == 200
    assert await counts(site, "own_messages") == {"bot": "0.0", "others": "0.0", "unknown": "0.0"}
    monkeypatch.undo()
    assert (await site.post("/webhook/cloud", failure()))[0] == 200


async def test_reports_beyond_the_limit_are_logged_and_counted(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sent_replies, "REPORTS_MAX", 0)
    await site.post("/webhook/cloud", failure())
    await site.post("/webhook/evolution", own_message())
    assert await counts(site, "replies_undelivered") == {"error 131026": "1.0"}
    assert await counts(site, "own_messages") == {"bot": "0.0", "others": "1.0", "unknown": "0.0"}
    outcomes = [record.__dict__["outcome"] for record in caplog.records if "outcome" in record.__dict__]
    assert outcomes == ["not known"]


async def test_without_stored_ids_own_messages_are_not_counted(make_site: MakeSite) -> None:
    async with make_site(QUEUE_SENT_TTL_S="0") as site:
        await site.post("/webhook/evolution", own_message())
        assert await counts(site, "own_messages") == {"bot": "0.0", "others": "0.0", "unknown": "0.0"}
