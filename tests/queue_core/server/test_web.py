"""The web app over HTTP, on a real Redis: who may post, what comes in, hostile input, schedulers, health."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, cast

import pytest
from aiohttp import web

from queue_core import QueueMessage
from queue_core.channels.cloud.errors import meaning_of
from queue_core.channels.cloud.example import example_headers, example_message, webhook_of
from queue_core.errors import QueueUnavailableError
from queue_core.redis_server.embedded import EmbeddedRedis
from queue_core.server.web import Web
from tests.queue_core.bot import claimed_batch
from tests.queue_core.server.outside import evolution
from tests.queue_core.server.site import Site, open_site

TOKEN = "operator-token-of-the-test"
SECRET = "webhook-secret-of-the-test"
APP_SECRET = "app-secret-of-the-test"
VERIFY_TOKEN = "verify-token-of-the-test"


MakeSite = Callable[..., AbstractAsyncContextManager[Site]]


@pytest.fixture
def make_site(redis_server: EmbeddedRedis) -> MakeSite:
    """Return a function that opens a site with given settings."""
    return partial(open_site, REDIS_URL=redis_server.url, OPERATOR_TOKEN=TOKEN)


@pytest.fixture
async def site(make_site: MakeSite) -> AsyncIterator[Site]:
    """Open a site with the default settings."""
    async with make_site() as made:
        yield made


def cloud(*messages: dict[str, Any]) -> dict[str, Any]:
    """Make a webhook of the Cloud API."""
    return webhook_of(*messages, instance="1001")


def cloud_text(message_id: str, sender: str = "966500000001", text: str = "hello") -> dict[str, Any]:
    return example_message(message_id, "text", {"body": text}, phone=sender)


# What comes in.


async def test_a_message_is_in_the_queue_when_it_is_acknowledged(site: Site) -> None:
    assert await site.post("/webhook/evolution", evolution("m1", "مرحبا ⭐")) == (200, {"queued": 1})
    (message,) = await site.queued()
    assert (message.id, message.message, message.message_data["kind"]) == ("m1", "مرحبا ⭐", "text")


@pytest.mark.parametrize(
    ("path", "payload"),
    [
        ("/webhook/evolution/other", {"instance": ""}),
        ("/webhook/evolution/messages-upsert", {"event": ""}),
        ("/webhook/evolution/other/messages-upsert", {"event": "", "instance": ""}),
    ],
)
async def test_the_path_says_what_the_payload_does_not(
    site: Site, path: str, payload: dict[str, str]
) -> None:
    """The instance, and the event if Evolution has "webhook by events" switched on."""
    assert await site.post(path, evolution("m1") | payload) == (200, {"queued": 1})
    (message,) = await site.all_queued()
    assert message.instance_name == ("other" if "instance" in payload else "bot")


async def test_things_that_no_user_wrote_are_acknowledged_and_counted(site: Site) -> None:
    sent_by_bot = evolution("m1")
    sent_by_bot["data"]["key"]["fromMe"] = True
    group = evolution("m2")
    group["data"]["key"]["remoteJid"] = "12345@g.us"
    for body in (sent_by_bot, group, {"event": "connection.update", "instance": "bot", "data": {}}):
        status, answer = await site.post("/webhook/evolution", body)
        assert status == 200
        assert sum(answer["skipped"].values()) == 1
    assert await site.all_queued() == []
    exposition = await (await site.client.get("/metrics")).text()
    assert 'burstqueue_messages_skipped_total{reason="own"} 1.0' in exposition


async def test_one_post_for_several_users_keeps_the_order_of_each(site: Site) -> None:
    messages = [
        cloud_text(f"m{number}", sender=f"96650000000{number % 2}", text=str(number)) for number in range(40)
    ]
    assert await site.post("/webhook/cloud", cloud(*messages)) == (200, {"queued": 40})
    for user in range(2):
        queued = await site.queued("1001", f"96650000000{user}")
        assert [message.message for message in queued] == [str(number) for number in range(user, 40, 2)]


async def test_ignored_kinds_are_acknowledged_and_not_queued(make_site: MakeSite) -> None:
    sticker = example_message("m1", "sticker", {"id": "1"}, phone="966500000001")
    async with make_site(IGNORED_KINDS="sticker,reaction") as site:
        status, answer = await site.post("/webhook/cloud", cloud(sticker, cloud_text("m2")))
        assert (status, answer) == (200, {"queued": 1, "skipped": {"ignored kind": 1}})


async def test_media_bytes_do_not_fill_redis(site: Site) -> None:
    body = evolution("m1", messageType="imageMessage")
    body["data"]["message"] = {"imageMessage": {"caption": "look"}, "base64": "QUJD" * 500_000}
    assert await site.post_bytes("/webhook/evolution", json.dumps(body).encode()) == (200, {"queued": 1})
    (message,) = await site.queued()
    assert message.message == "[image] look"
    assert len(json.dumps(message.message_data)) < 2_000
    assert message.message_data["webhook"]["message"]["base64"]["bytes"] > 1_000_000


# Who may post.


async def test_evolution_must_show_the_secret_where_one_is_set(make_site: MakeSite) -> None:
    """The secret may be a header or field `apikey`, a bearer token, or a part of the path."""
    async with make_site(EVOLUTION_WEBHOOK_SECRET=SECRET) as site:
        for number, options in enumerate(
            [{"headers": {"apikey": SECRET}}, {"headers": {"Authorization": f"Bearer {SECRET}"}}]
        ):
            status, _ = await site.post("/webhook/evolution", evolution(f"m{number}"), **options)
            assert status == 200
        assert (await site.post("/webhook/evolution", evolution("m2") | {"apikey": SECRET}))[0] == 200
        assert (await site.post(f"/webhook/{SECRET}/evolution/bot", evolution("m3")))[0] == 200
        assert len(await site.queued()) == 4
        for wrong in ("", "wrong", SECRET + "x", "سر"):
            assert (await site.post("/webhook/evolution", evolution("m9") | {"apikey": wrong}))[0] == 401
        assert (await site.post("/webhook/wrong/evolution", evolution("m9")))[0] == 401
        assert len(await site.queued()) == 4
        assert SECRET not in str((await site.queued())[2].message_data)


async def test_cloud_must_sign_where_a_secret_is_set(make_site: MakeSite) -> None:
    body = json.dumps(cloud(cloud_text("m1"))).encode()
    async with make_site(CLOUD_APP_SECRET=APP_SECRET) as site:
        for headers in (
            {},
            example_headers(body, "other"),
            example_headers(body + b" ", APP_SECRET),
            {"X-Hub-Signature-256": "sha256=é"},
        ):
            assert (await site.post_bytes("/webhook/cloud", body, **headers))[0] == 401
        assert await site.all_queued() == []
        assert await site.post_bytes("/webhook/cloud", body, **example_headers(body, APP_SECRET)) == (
            200,
            {"queued": 1},
        )


async def test_on_a_public_address_a_provider_without_a_secret_takes_nothing(make_site: MakeSite) -> None:
    """The secret of the other provider is enough to start."""
    body = json.dumps(cloud(cloud_text("m1"))).encode()
    async with make_site(HOST="0.0.0.0", EVOLUTION_WEBHOOK_SECRET=SECRET) as site:
        for headers in ({}, example_headers(body, "")):
            status, answer = await site.post_bytes("/webhook/cloud", body, **headers)
            unset = "CLOUD_APP_SECRET is not set, so no webhook of this channel is taken"
            assert (status, answer["error"]) == (401, unset)
    async with make_site(HOST="0.0.0.0", CLOUD_APP_SECRET=APP_SECRET) as site:
        for headers in ({}, {"apikey": ""}, {"Authorization": "Bearer "}):
            status, answer = await site.post("/webhook/evolution", evolution("m1"), headers=headers)
            assert status == 401
            assert answer["error"].startswith("EVOLUTION_WEBHOOK_SECRET is not set")


async def test_meta_checks_a_subscription(make_site: MakeSite) -> None:
    async with make_site(CLOUD_VERIFY_TOKEN=VERIFY_TOKEN) as site:
        asked = {"hub.mode": "subscribe", "hub.verify_token": VERIFY_TOKEN, "hub.challenge": "1158201444"}
        response = await site.client.get("/webhook/cloud", params=asked)
        assert (response.status, response.content_type) == (200, "text/plain")
        assert await response.text() == "1158201444"
        wrong = await site.client.get("/webhook/cloud", params=asked | {"hub.verify_token": "other"})
        assert wrong.status == 403
    async with make_site(EVOLUTION_URL="http://127.0.0.1:9", EVOLUTION_API_KEY="k") as site:
        unused = await site.client.get("/webhook/cloud", params=asked)
        assert unused.status == 404
        assert "CLOUD_ACCESS_TOKEN" in (await unused.json())["error"]


async def test_a_channel_that_cannot_send_takes_nothing(make_site: MakeSite) -> None:
    async with make_site(EVOLUTION_URL="http://127.0.0.1:9", EVOLUTION_API_KEY="k") as site:
        status, answer = await site.post("/webhook/cloud", cloud(cloud_text("m1")))
        assert status == 404
        assert "not configured" in answer["error"]


# Hostile input: a clear answer, and the next message is taken as if nothing had happened.


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe\x00", 400),
        (b"[" * 100_000, 400),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, 400),
        (b'{"event":"messages.upsert","data":' + b"[" * 200 + b"]" * 200 + b"}", 400),
        (b"null", 400),
        (b'"text"', 400),
        (b"[]", 400),
        (b"{}", 400),
        (b'{"event":"messages.upsert"}', 400),
        (b"x" * 2_000_000, 413),
    ],
)
async def test_what_can_never_be_a_message_gets_a_4xx(make_site: MakeSite, body: bytes, status: int) -> None:
    async with make_site(BODY_BYTES_MAX="1000000") as site:
        answered, answer = await site.post_bytes("/webhook/evolution", body)
        assert answered == status
        assert answer["error"]
        assert (await site.post("/webhook/evolution", evolution("m1")))[0] == 200


async def test_a_form_or_plain_text_is_refused(site: Site) -> None:
    """Pages in a browser can post these to a server on the reader's own machine."""
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        body = json.dumps(evolution("m1")).encode()
        status, answer = await site.post_bytes("/webhook/evolution", body, **{"Content-Type": content_type})
        assert status == 415
        assert "application/json" in answer["error"]
    assert await site.all_queued() == []


async def test_a_faulty_text_is_repaired(site: Site) -> None:
    """Broken UTF-8, half an emoji of a cut text, a byte order mark: still a message."""
    broken = json.dumps(evolution("m1", "caf#")).encode().replace(b"#", b"\xe9")
    assert await site.post_bytes("/webhook/evolution", broken) == (200, {"queued": 1})
    half = json.dumps(evolution("m2", "x#")).encode().replace(b"#", b"\\ud83d")
    assert await site.post_bytes("/webhook/evolution", half) == (200, {"queued": 1})
    marked = b"\xef\xbb\xbf" + json.dumps(evolution("m3", "y")).encode()
    assert await site.post_bytes("/webhook/evolution", marked) == (200, {"queued": 1})
    assert [message.message for message in await site.queued()] == ["caf\ufffd", "x\ufffd", "y"]


async def test_a_body_that_is_not_compressed_as_it_says_is_refused(site: Site) -> None:
    """A 500 would have the provider deliver it again and again."""
    body = json.dumps(evolution("m1")).encode()
    for encoding in ("gzip", "deflate"):
        status, answer = await site.post_bytes(
            "/webhook/evolution", body, **{"Content-Encoding": encoding, "Connection": "close"}
        )
        assert (status, list(answer)) == (400, ["error"])


async def test_a_body_that_is_cut_off_is_refused_without_a_traceback(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """The server runs as in a deployment: that of TestClient cancels the handler instead."""
    runner = web.AppRunner(Web(site.runtime, asyncio.Event(), webhooks=site.webhooks).app())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    reader, writer = await asyncio.open_connection(*runner.addresses[0])
    head = "POST /webhook/evolution HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 30\r\n"
    writer.write(f"{head}Expect: 100-continue\r\n\r\n".encode())
    assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"  # so the app reads the body
    writer.write(b"half")
    writer.close()
    await runner.cleanup()
    assert [record.getMessage() for record in caplog.records] == [
        "webhook rejected: the connection ended before the whole body had arrived"
    ]


@pytest.mark.parametrize(
    "name", ["a:b", "{0}", "a}b{", "../x", "%2e", "\x00\n\x1b[2J", "\u202e", "سلام", "x" * 500]
)
async def test_names_that_would_break_a_key(site: Site, name: str) -> None:
    assert await site.post("/webhook/evolution", evolution("m1", instance=name)) == (200, {"queued": 1})
    assert [message.id for message in await site.queued(name)] == ["m1"]


async def test_a_message_that_cannot_be_read_is_a_dead_letter(site: Site) -> None:
    """The provider must not deliver it again, and a person can see what came."""
    nobody = evolution("m1")
    nobody["data"]["key"] = {"id": "m1", "apikey": "secret-of-the-api"}
    too_long = evolution("m2", instance="x" * 600)
    for body, reason in ((nobody, "its user is unknown"), (too_long, "longer than 512 bytes")):
        assert await site.post("/webhook/evolution", body) == (200, {"unreadable": 1})
        letter = [letter async for letter in site.runtime.queue.iterate_dead_letters()][-1]
        assert letter.reason.startswith("unreadable: ")
        assert reason in letter.reason
        assert letter.message
        assert letter.message.message_data["channel"] == "evolution"
        assert "secret-of-the-api" not in letter.raw
        await site.runtime.queue.drop(letter.id)
    assert await site.all_queued() == []
    exposition = await (await site.client.get("/metrics")).text()
    assert "burstqueue_messages_unreadable_total 2.0" in exposition


async def test_one_bad_message_does_not_take_the_others_with_it(site: Site) -> None:
    body = cloud(cloud_text("m1"), cloud_text("x" * 600), cloud_text("m2", sender=""), cloud_text("m3"))
    assert await site.post("/webhook/cloud", body) == (200, {"queued": 2, "unreadable": 2})
    assert [message.id for message in await site.queued("1001")] == ["m1", "m3"]
    letters = [letter async for letter in site.runtime.queue.iterate_dead_letters()]
    assert [letter.attempts for letter in letters] == [0, 0]


async def test_a_message_whose_dead_letter_cannot_be_stored_is_delivered_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(message: QueueMessage, reason: str) -> None:
        raise QueueUnavailableError("Redis is away")

    monkeypatch.setattr(site.webhooks, "_keep", away)
    status, answer = await site.post("/webhook/cloud", cloud(cloud_text("m1", sender=""), cloud_text("m2")))
    assert (status, answer) == (503, {"failed": 1, "queued": 1})


async def test_an_unreadable_message_that_is_requeued_has_a_text(site: Site) -> None:
    await site.post("/webhook/cloud", cloud(cloud_text("m1", sender="")))
    (letter,) = [letter async for letter in site.runtime.queue.iterate_dead_letters()]
    await site.runtime.queue.requeue(letter.id)
    (message,) = await site.all_queued()
    assert (message.message, message.message_data["kind"]) == ("[unreadable message]", "unreadable")


async def test_events_and_unknown_kinds_are_counted_by_name_and_logged_once(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    hologram = example_message("m1", "hologram", {}, phone="966500000001")
    with caplog.at_level(logging.INFO, "queue_core.events"):
        for _ in range(2):
            await site.post("/webhook/evolution", {"event": "presence.update", "instance": "bot", "data": {}})
            await site.post("/webhook/cloud", cloud(hologram))
    logged = [record.getMessage() for record in caplog.records]
    assert sum("event presence.update" in line for line in logged) == 1
    assert sum("kind hologram" in line for line in logged) == 1
    exposition = await (await site.client.get("/metrics")).text()
    assert 'burstqueue_events_total{event="presence.update"} 2.0' in exposition
    assert 'burstqueue_messages_of_unknown_kind_total{kind="hologram"} 2.0' in exposition


async def test_a_reply_that_failed_later_is_counted_and_logged(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    body = cloud()
    status = {"id": "wamid.R", "status": "failed", "recipient_id": "966500000001"}
    body["entry"][0]["changes"][0]["value"]["statuses"] = [
        status | {"errors": [{"code": 131047, "title": "Too late"}]}
    ]
    assert await site.post("/webhook/cloud", body) == (200, {"skipped": {"failed delivery": 1}})
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert line == f"a reply did not reach its user: {meaning_of(131047).words}: Too late"
    assert "966500000001" not in caplog.text
    exposition = await (await site.client.get("/metrics")).text()
    assert 'burstqueue_replies_undelivered_total{code="error 131047"} 1.0' in exposition


async def test_the_words_of_placeholders_can_be_arabic(make_site: MakeSite) -> None:
    sticker = example_message("m1", "sticker", {"id": "1"}, phone="966500000001")
    async with make_site(PLACEHOLDER_LANGUAGE="ar") as site:
        await site.post("/webhook/cloud", cloud(sticker))
        assert [message.message for message in await site.queued("1001")] == ["[ملصق]"]


async def test_a_text_too_long_for_the_queue_is_still_a_message(site: Site) -> None:
    """WhatsApp's limit is 65,536 characters; whatever comes, what fits is kept."""
    status, answer = await site.post("/webhook/evolution", evolution("m1", "ع" * 100_000))
    assert (status, answer) == (200, {"queued": 1})


@pytest.mark.parametrize("repeats", [60, 200, 500, 1_000, 1_300])
async def test_a_text_of_invalid_utf8_is_still_a_message(make_site: MakeSite, repeats: int) -> None:
    """Each byte of it becomes the three bytes of U+FFFD, in the text and in the webhook."""
    body = json.dumps(evolution("m1", "#")).encode().replace(b"#", b"\xff" * repeats)
    async with make_site(QUEUE_MAX_MESSAGE_BYTES="2048") as site:
        status, answer = await site.post_bytes("/webhook/evolution", body)
        assert (status, answer["queued"]) == (200, 1)


async def test_headers_beyond_the_limit(site: Site) -> None:
    response = await site.client.post("/webhook/evolution", headers={"X-Long": "x" * 20_000}, json={})
    assert response.status == 400


async def test_json_answers_end_with_a_newline_and_others_do_not(make_site: MakeSite) -> None:
    async with make_site(CLOUD_VERIFY_TOKEN=VERIFY_TOKEN) as site:
        for path in ("/healthz", "/nowhere"):
            assert (await (await site.client.get(path)).text()).endswith("}\n")
        for path in ("/webhook/evolution", "/queue-monitor"):  # taken, and refused without the token
            answer = await site.client.post(path, json=evolution("m1"))
            text = await answer.text()
            assert text.endswith("}\n")
            assert text.count("\n") == 1
        handshake = {"hub.mode": "subscribe", "hub.verify_token": VERIFY_TOKEN, "hub.challenge": "4711"}
        assert await (await site.client.get("/webhook/cloud", params=handshake)).text() == "4711"


async def test_unknown_paths_and_methods_get_json(site: Site) -> None:
    for method, path, status in (("GET", "/nothing", 404), ("GET", "/webhook/evolution", 405)):
        response = await site.client.request(method, path)
        assert response.status == status
        assert "error" in await response.json()


# Schedulers.


async def test_a_scheduler_makes_a_pass(make_site: MakeSite) -> None:
    async with make_site(QUEUE_WINDOW_MS="0") as site:
        await site.post("/webhook/evolution", evolution("m1", "hello"))
        headers = {"Authorization": f"Bearer {TOKEN}"}
        response = await site.client.post("/queue-processor", headers=headers)
        assert response.status == 200
        report = await response.json()
        assert (report["completed"], report["messages"], report["failed"]) == (1, 1, 0)
        assert len(site.printed) == 1


async def test_one_conversation_is_processed_by_name(make_site: MakeSite) -> None:
    async with make_site(QUEUE_WINDOW_MS="0") as site:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        for user in ("966500000001", "966500000002"):
            await site.post("/webhook/evolution", evolution(f"m-{user}", phone=user))
        status, report = await site.post(
            "/process-queued-messages", {"instance": "bot", "phone": "966500000002"}, headers=headers
        )
        assert (status, report["completed"]) == (200, 1)
        assert [message.id for message in await site.all_queued()] == ["m-966500000001"]
        invalid_bodies: list[Any] = [{}, {"instance": "bot"}, {"instance": 1, "phone": "2"}, []]
        for wrong in invalid_bodies:
            status, answer = await site.post("/process-queued-messages", wrong, headers=headers)
            assert status == 400
            assert "instance" in answer["error"]


async def test_the_monitor_reports_and_repairs(site: Site) -> None:
    await site.post("/webhook/evolution", evolution("m1"))
    queue = site.runtime.queue
    await queue.redis.zrem(queue.keys.partitions[0].active, queue.keys.of("bot", "966500000001").conversation)
    status, report = await site.post("/queue-monitor", {}, headers={"Authorization": f"Bearer {TOKEN}"})
    assert status == 200
    assert report["cleaned"]["stranded"] == 1
    assert report["waiting"] == 1
    assert [name.user_phone for name in await queue.active_conversations()] == ["966500000001"]


@pytest.mark.parametrize("path", ["/queue-processor", "/queue-monitor", "/process-queued-messages"])
async def test_schedulers_need_the_token(make_site: MakeSite, path: str) -> None:
    async with make_site() as site:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}):
            assert (await site.post(path, {}, headers=headers))[0] == 401
    async with make_site(OPERATOR_TOKEN="") as site:
        status, answer = await site.post(path, {}, headers={"Authorization": "Bearer "})
        assert status == 403
        assert "OPERATOR_TOKEN" in answer["error"]


# Health.


async def test_health_with_redis_and_without(make_site: MakeSite, redis_server: EmbeddedRedis) -> None:
    """A process that is alive says so; webhooks are taken without Redis too."""
    async with make_site() as site:
        assert (await site.client.get("/healthz")).status == 200
        assert await (await site.client.get("/readyz")).json() == {
            "ready": True,
            "stopping": False,
            "redis": "up",
        }
    redis_server.kill()
    async with make_site(QUEUE_REDIS_DEADLINE_MS="300") as site:
        assert (await site.client.get("/healthz")).status == 200
        ready = await site.client.get("/readyz")
        assert (ready.status, (await ready.json())["redis"]) == (200, "down")
        assert "burstqueue_redis_up 0.0" in await (await site.client.get("/metrics")).text()


async def test_without_redis_the_legacy_buffer_is_not_ready(
    make_site: MakeSite, redis_server: EmbeddedRedis
) -> None:
    redis_server.kill()
    async with make_site(USE_QUEUE_SYSTEM="false", QUEUE_REDIS_DEADLINE_MS="300") as site:
        response = await site.client.get("/readyz")
        assert response.status == 503
        assert await response.json() == {"ready": False, "stopping": False, "redis": "down"}


async def test_a_process_that_redis_refuses_is_not_ready(make_site: MakeSite) -> None:
    """After a change of the number of partitions, or after an upgrade, it answers webhooks with 503."""
    for layout in ({"partitions": "4"}, {"oldest": "99"}):
        async with make_site() as site:
            queue = site.runtime.queue
            await queue.redis.flushall()
            await queue.redis.hset(queue.keys.partitions[0].layout, mapping=cast(dict[Any, Any], layout))
            assert (await site.post("/webhook/evolution", evolution("m1")))[0] == 503
            response = await site.client.get("/readyz")
            assert response.status == 503
            assert await response.json() == {"ready": False, "stopping": False, "redis": "refuses"}


async def test_metrics_show_how_fast_messages_are_acknowledged(site: Site) -> None:
    for number in range(20):
        await site.post("/webhook/evolution", evolution(f"m{number}", phone=f"96650000{number:04}"))
    exposition = await (await site.client.get("/metrics")).text()
    assert "burstqueue_messages_enqueued_total 20.0" in exposition
    assert "burstqueue_depth 20.0" in exposition
    for quantile in ("0.5", "0.99"):
        (line,) = [
            line
            for line in exposition.splitlines()
            if line.startswith("burstqueue_acknowledgement_recent_seconds{") and f'"{quantile}"' in line
        ]
        assert 0 < float(line.rsplit(" ", 1)[1]) < 10


# What is cut and what is removed.


async def test_answer_log_and_metrics_report_a_text_that_is_cut(
    make_site: MakeSite, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the text and without the phone."""
    caplog.set_level("INFO", "queue_core.events")
    async with make_site(QUEUE_MAX_MESSAGE_BYTES="4096") as site:
        assert await site.post("/webhook/evolution", evolution("m1", "w" * 3_000)) == (200, {"queued": 1})
        assert await site.post("/webhook/evolution", evolution("m2", "t" * 9_000)) == (
            200,
            {"queued": 1, "cut": 1},
        )
        first, second = await site.queued()
        metrics = await (await site.client.get("/metrics")).text()
    assert (len(first.message), first.message_data["webhook"]) == (3_000, {"omitted": "too large"})
    assert second.message.endswith("t […]")
    assert len(second.message) < 4_096
    assert 'burstqueue_messages_cut_total{part="webhook"} 1.0' in metrics
    assert 'burstqueue_messages_cut_total{part="text"} 1.0' in metrics
    omitted, cut = [record for record in caplog.records if "too large" in record.message]
    assert (omitted.message, cut.message) == (
        "message too large: queued without its webhook",
        "message too large: its text was cut",
    )
    assert (vars(cut)["characters"], vars(cut)["kept"]) == (9_000, len(second.message) - len(" […]"))
    assert "ttt" not in str(vars(cut))
    assert "966500000001" not in str(vars(cut))


async def test_no_secret_of_a_webhook_is_kept(make_site: MakeSite) -> None:
    """Neither with the message nor in its dead letter, whoever the provider is."""
    secrets = {"apikey": SECRET, "inner": [{"Authorization": f"Bearer {SECRET}", "access_token": SECRET}]}
    body = evolution("m1")
    body["data"] |= secrets
    body["data"]["message"] |= secrets
    message = cloud_text("m2")
    message["context"] = secrets
    posted = cloud(message)
    posted["entry"][0]["changes"][0]["value"]["metadata"] |= secrets
    async with make_site(QUEUE_WINDOW_MS="0") as site:
        assert await site.post("/webhook/evolution", body | secrets) == (200, {"queued": 1})
        assert await site.post("/webhook/cloud", posted) == (200, {"queued": 1})
        queued = await site.all_queued()
        assert [message.id for message in queued] == ["m1", "m2"]
        assert all("inner" in str(message.message_data) for message in queued)
        queue = site.runtime.queue
        for _ in queued:
            await queue.fail(await claimed_batch(queue), "gave up", dead=True)
        dead = await queue.dead_letters()
    assert SECRET not in f"{queued} {dead}"
