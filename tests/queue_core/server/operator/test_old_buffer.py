"""Messages in the legacy buffer, as `status`, `show` and `drain` show them."""

from __future__ import annotations

import msgspec

from queue_core.legacy.store import DECODER
from queue_core.legacy.switch_back import LegacyIntake
from queue_core.server.tags import ConversationTags
from tests.queue_core.bot import Bot, message
from tests.queue_core.server.operator.console import Console

KEY = "wa:legacy_buffer:bot:201"


async def fill(console: Console) -> None:
    """Leave two messages of one conversation and one of another in the buffer, as a killed process does."""
    bot = Bot()
    intake = LegacyIntake(console.queue, bot.handle, bot.send)
    for message_id, phone in (("m1", "201"), ("m2", "201"), ("m3", "202")):
        await intake.receive(message(message_id, phone))
    await intake.close(None)


async def mark_as_processed(console: Console) -> None:
    """Mark the buffer of 201 as the buffer itself does after an answer."""
    buffer = DECODER.decode(await console.queue.redis.get(KEY) or b"")
    processed = msgspec.structs.replace(buffer, processed=True)
    await console.queue.redis.set(KEY, msgspec.json.encode(processed))


async def test_status_counts_the_old_buffer(console: Console) -> None:
    assert "legacy buffer" not in (await console.run("status")).out
    await fill(console)
    assert "legacy buffer   3 messages of 2 conversations" in (await console.run("status")).lines
    assert (await console.run("status", "--json")).json["oldBuffer"] == {"conversations": 2, "messages": 3}
    await mark_as_processed(console)
    assert "legacy buffer   1 message of 1 conversation" in (await console.run("status")).lines


async def test_status_names_the_old_buffer_while_it_is_in_use(console: Console) -> None:
    console.settings = console.settings.model_copy(update={"use_queue_system": False})
    assert "legacy buffer   0 messages of 0 conversations" in (await console.run("status")).lines


async def test_show_lists_the_old_buffer(console: Console) -> None:
    await fill(console)
    shown = await console.run("show", "bot", "201")
    assert shown.code == 0
    assert "state     2 messages in the legacy buffer" in shown.lines
    assert "2 messages in the legacy buffer, not answered yet:" in shown.lines
    assert [line.split()[-1] for line in shown.lines if "text m" in line] == ["m1", "m2"]
    buffered = (await console.run("show", "bot", "201", "--json")).json["oldBuffer"]
    assert buffered["processed"] is False
    assert [listed["id"] for listed in buffered["messages"]] == ["m1", "m2"]


async def test_show_lists_the_buffers_of_all_names_of_a_user(console: Console) -> None:
    await fill(console)
    known = {"addresses": {"phone": "201", "lid": "202"}}
    await console.queue.enqueue(msgspec.structs.replace(message("m4", "201"), message_data=known))
    shown = await console.run("show", "bot", "201")
    assert [line.split()[-1] for line in shown.lines if "text m" in line] == ["m4", "m1", "m2", "m3"]


async def test_show_says_that_the_old_buffer_is_processed(console: Console) -> None:
    await fill(console)
    await mark_as_processed(console)
    shown = await console.run("show", "bot", "201")
    assert "state     nothing waits" in shown.lines
    assert (
        "2 messages in the legacy buffer, marked as processed (a message that came while the AI was"
        in shown.out
    )


async def test_show_finds_the_old_buffer_by_its_tag(console: Console) -> None:
    await fill(console)
    tags = ConversationTags()
    assert await tags.share_key(console.queue.notes)
    assert "m3" in (await console.run("show", tags.of("bot", "202"))).out


async def test_drain_names_what_is_in_the_old_buffer(console: Console) -> None:
    await fill(console)
    answer = await console.run("drain")
    assert (answer.code, answer.out) == (0, "empty; 3 messages of 2 conversations in the legacy buffer\n")
    buffered = (await console.run("drain", "--json")).json["oldBuffer"]
    assert buffered == {"conversations": 2, "messages": 3}
