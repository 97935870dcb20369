"""Users with several addresses, from the webhooks of all providers to the address that the reply goes to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from queue_core.errors import QueueUnavailableError
from queue_core.redis_server.embedded import EmbeddedRedis
from queue_core.server.runtime import Runtime
from tests.queue_core.server.outside import Outside, evolution, outside
from tests.queue_core.server.site import Site, open_site

PHONE, LID, USER_ID = "966500000001", "103890000001@lid", "SA.9000000000000000017"
NEW_PHONE, NEW_USER_ID = "966500000099", "SA.99"


@pytest.fixture
async def site(redis_server: EmbeddedRedis) -> AsyncIterator[Site]:
    """Open a site whose turns are due at once."""
    async with open_site(REDIS_URL=redis_server.url, QUEUE_WINDOW_MS="0") as made:
        yield made


def evolution_from(message_id: str, chat: str, other: str = "") -> dict[str, Any]:
    """Make a webhook of the Evolution API from a chat; `other` is the user's other address."""
    key = {"remoteJid": chat, "fromMe": False, "id": message_id}
    return evolution(message_id, key=key | ({"remoteJidAlt": other} if other else {}))


def cloud(message: dict[str, Any], **contact: Any) -> dict[str, Any]:
    """Make a webhook of the Cloud API."""
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550000000", "phone_number_id": "1001"},
        "messages": [{"timestamp": "0", "type": "text", "text": {"body": "hello"}, **message}],
    }
    value |= {"contacts": [{"profile": {"name": "Sara"}, **contact}]} if contact else {}
    entry = {"id": "1", "changes": [{"value": value, "field": "messages"}]}
    return {"object": "whatsapp_business_account", "entry": [entry]}


async def waiting(runtime: Runtime) -> dict[str, list[str]]:
    """Return the ids that wait, by conversation."""
    return {
        name.user_phone: [
            message.id for message in await runtime.queue.pending(name.instance_name, name.user_phone)
        ]
        for name in await runtime.queue.active_conversations()
    }


async def test_a_number_that_becomes_known_joins_the_conversation(site: Site) -> None:
    """Evolution tells the number of a linked id from the second message on, and sometimes only one of both."""
    for webhook in (
        evolution_from("m1", LID),
        evolution_from("m2", LID, f"{PHONE}@s.whatsapp.net"),
        evolution_from("m3", f"{PHONE}@s.whatsapp.net"),
        evolution_from("m4", LID),
    ):
        assert await site.post("/webhook/evolution", webhook) == (200, {"queued": 1})
    assert await waiting(site.runtime) == {LID: ["m1", "m2", "m3", "m4"]}


async def test_a_user_who_hides_the_number_keeps_the_conversation(site: Site) -> None:
    """The Cloud API tells number and BSUID, and later the BSUID alone."""
    for webhook in (
        cloud({"id": "m1", "from": PHONE}, wa_id=PHONE),
        cloud({"id": "m2", "from": PHONE, "from_user_id": USER_ID}, wa_id=PHONE, user_id=USER_ID),
        cloud({"id": "m3", "from_user_id": USER_ID}, user_id=USER_ID),
    ):
        assert (await site.post("/webhook/cloud", webhook))[0] == 200
    assert await waiting(site.runtime) == {PHONE: ["m1", "m2", "m3"]}


async def test_a_user_with_another_number_keeps_the_conversation(site: Site) -> None:
    change = {"type": "user_changed_number", "wa_id": NEW_PHONE, "user_id": NEW_USER_ID}
    event = {"id": "e1", "from": PHONE, "from_user_id": USER_ID, "type": "system", "system": change}
    await site.post("/webhook/cloud", cloud({"id": "m1", "from": PHONE, "from_user_id": USER_ID}))
    assert await site.post("/webhook/cloud", cloud(event)) == (200, {"skipped": {"user changed number": 1}})
    await site.post("/webhook/cloud", cloud({"id": "m2", "from": NEW_PHONE, "from_user_id": NEW_USER_ID}))
    assert await waiting(site.runtime) == {PHONE: ["m1", "m2"]}


async def test_a_new_id_that_is_reported_late_joins_from_the_next_message_on(site: Site) -> None:
    change = {"type": "user_changed_user_id", "previous_user_id": USER_ID, "user_id": NEW_USER_ID}
    event = cloud({"id": "e1", "type": "system", "system": change})
    for message_id, user_id in (("m1", USER_ID), ("m2", NEW_USER_ID)):
        await site.post("/webhook/cloud", cloud({"id": message_id, "from_user_id": user_id}))
    assert (await site.post("/webhook/cloud", event))[0] == 200
    for message_id, user_id in (("m3", USER_ID), ("m4", NEW_USER_ID)):
        await site.post("/webhook/cloud", cloud({"id": message_id, "from_user_id": user_id}))
    assert await waiting(site.runtime) == {USER_ID: ["m1", "m3", "m4"], NEW_USER_ID: ["m2"]}


async def test_a_report_that_cannot_be_used_now_comes_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any, **__: Any) -> Any:
        raise QueueUnavailableError("away")

    change = {"type": "user_changed_user_id", "previous_user_id": USER_ID, "user_id": NEW_USER_ID}
    event = cloud({"id": "e1", "type": "system", "system": change})
    monkeypatch.setattr(site.webhooks, "_join", away)
    assert await site.post("/webhook/cloud", event) == (
        503,
        {"failed": 1, "skipped": {"user changed user id": 1}},
    )


async def test_the_reply_goes_to_the_newest_address(redis_server: EmbeddedRedis) -> None:
    stub: Outside
    async with (
        outside() as stub,
        open_site(REDIS_URL=redis_server.url, QUEUE_WINDOW_MS="0", **stub.environment()) as site,
    ):
        worker = site.runtime.new_processor()
        numbers = []
        for webhook in (
            evolution_from("m1", LID),
            evolution_from("m2", LID, f"{PHONE}@s.whatsapp.net"),
            evolution_from("m3", LID),
            evolution_from("m4", LID, f"{NEW_PHONE}@s.whatsapp.net"),
        ):
            await site.post("/webhook/evolution", webhook)
            await worker.process_all_queues()
            numbers.append(stub.sent[-1][0])
        assert numbers == [LID, PHONE, LID, NEW_PHONE]
        stub.check_answered_once(["m1", "m2", "m3", "m4"])
