"""`forget`: what it deletes, what it refuses to delete, and the exit codes that a script can rely on."""

from __future__ import annotations

from pathlib import Path

import pytest

from queue_core import QueueMessage
from queue_core.ai.memory import ConversationMemory, Memory
from queue_core.queue.upkeep.erasure import Erasure
from queue_core.redis.scripts.loader import text
from tests.queue_core.bot import claimed_batch
from tests.queue_core.server.operator.console import Console
from tests.queue_core.server.operator.test_old_buffer import fill, mark_as_processed

KEPT = "kept: ids of messages, for up to 32 h, so that a repeated delivery is not answered"


async def finish(console: Console, message_id: str, phone: str = "201") -> None:
    await console.put(message_id, phone=phone)
    await console.queue.complete(await claimed_batch(console.queue))


async def test_forget_says_what_it_deleted(console: Console) -> None:
    await finish(console, "m1")
    await finish(console, "m2")
    await console.put_dead_letter("m3", "no luck")
    await ConversationMemory(console.queue.notes).save("bot", "201", Memory(conversation_id="c"))
    answer = await console.run("forget", "bot", "201", "--yes")
    assert answer.code == 0
    assert answer.lines == [
        "deleted: 2 finished messages, 1 dead letter, the AI's memory, statistics",
        KEPT,
    ]
    assert (await console.run("show", "bot", "201")).code == 1


async def test_a_user_of_whom_nothing_is_kept_is_not_an_error(console: Console) -> None:
    answer = await console.run("forget", "bot", "201", "--yes")
    assert (answer.code, answer.lines[0]) == (
        0,
        "nothing to delete is kept about bot 201; if you expected data, check INSTANCE (`show TAG` prints it)",
    )


async def test_the_phone_may_be_written_as_people_write_it(console: Console) -> None:
    await finish(console, "m1", phone="966500000001")
    answer = await console.run("forget", "bot", "+966 50-000 0001", "--yes")
    assert answer.lines[0] == "deleted: 1 finished message, statistics"


async def test_without_yes_nothing_is_deleted(console: Console) -> None:
    await finish(console, "m1")
    assert "look at `show INSTANCE PHONE`, then add --yes" in await console.usage_error(
        "forget", "bot", "201"
    )
    assert len(await console.queue.completed("bot", "201")) == 1


async def test_waiting_messages_stay_unless_they_may_be_dropped(console: Console) -> None:
    await finish(console, "m0")
    for message_id in ("m1", "m2"):
        await console.put(message_id)
    refused = await console.run("forget", "bot", "201", "--yes")
    assert (refused.code, refused.out) == (3, "")
    assert "nothing was deleted, since 2 messages must still be answered" in refused.err
    assert len(await console.queue.completed("bot", "201")) == 1
    answer = await console.run("forget", "bot", "201", "--yes", "--drop-waiting")
    assert answer.code == 0
    assert answer.lines[0] == "deleted: 2 waiting messages, 1 finished message, statistics"
    assert await console.queue.depth() == 0


async def test_nothing_is_deleted_while_a_turn_is_answered(console: Console) -> None:
    await console.put("m1")
    batch = await claimed_batch(console.queue)
    refused = await console.run("forget", "bot", "201", "--yes", "--drop-waiting")
    assert refused.code == 3
    assert "a worker is answering this user. Type the command again in a moment" in refused.err
    await console.queue.complete(batch)
    assert (await console.run("forget", "bot", "201", "--yes")).code == 0


async def test_the_old_buffer_is_forgotten_too(console: Console) -> None:
    await fill(console)
    refused = await console.run("forget", "bot", "201", "--yes")
    assert refused.code == 3
    assert "2 messages must still be answered" in refused.err
    await mark_as_processed(console)
    answer = await console.run("forget", "bot", "201", "--yes")
    assert answer.lines[0] == "deleted: 2 buffered messages"
    keys = [text(key) for key in await console.queue.redis.keys()]
    assert [key for key in keys if key.endswith(":201")] == []
    assert "wa:legacy_buffer:bot:202" in keys
    assert (await console.run("forget", "bot", "202", "--yes", "--drop-waiting")).code == 0


async def test_json_has_the_counts(console: Console) -> None:
    await finish(console, "m1")
    await console.queue.enqueue(QueueMessage(id="m2", instance_name="bot", user_phone="201", message="x"))
    refused = await console.run("forget", "bot", "201", "--yes", "--json")
    (conversation,) = refused.json["conversations"]
    assert refused.code == 3
    assert (conversation["standing"], conversation["waiting"]) == ("waiting", 1)
    answer = await console.run("forget", "bot", "201", "--yes", "--json", "--drop-waiting")
    (conversation,) = answer.json["conversations"]
    assert conversation == {
        "instanceName": "bot",
        "userPhone": "201",
        "standing": "forgotten",
        "waiting": 1,
        "leaseLeftMs": 0,
        "finished": 1,
        "deadLetters": 0,
        "damaged": 0,
        "reply": False,
        "memory": False,
        "statistics": True,
        "oldBuffer": 0,
    }
    assert (await console.run("forget", "bot", "201", "--yes", "--json")).json["conversations"] == []


async def test_nothing_is_deleted_while_messages_wait_under_another_spelling(console: Console) -> None:
    """The first spelling, as typed, has no waiting messages; the second, its digits, has."""
    typed, digits = "+55 11 99999-0000", "5511999990000"
    await finish(console, "m1", phone=typed)
    await console.put("m2", phone=digits)
    refused = await console.run("forget", "bot", typed, "--yes")
    assert (refused.code, refused.out) == (3, "")
    assert "nothing was deleted, since 1 message must still be answered" in refused.err
    assert [message.id for message in await console.queue.completed("bot", typed)] == ["m1"]
    answer = await console.run("forget", "bot", typed, "--yes", "--drop-waiting")
    assert answer.code == 0
    assert answer.lines == [
        "deleted: 1 finished message, statistics",
        "deleted: 1 waiting message",
        KEPT,
    ]


async def test_a_message_that_comes_during_the_deletion_is_reported(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed, digits = "+55 11 99999-0000", "5511999990000"
    await finish(console, "m1", phone=typed)
    await console.put("m2", phone=digits)

    async def refuses_nothing(*_: object, **__: object) -> bool:
        return False

    monkeypatch.setattr(Erasure, "refuses", refuses_nothing)
    refused = await console.run("forget", "bot", typed, "--yes")
    assert (refused.code, refused.lines) == (3, ["deleted: 1 finished message, statistics"])
    assert "not everything was deleted, since 1 message must still be answered" in refused.err


@pytest.mark.parametrize("command", [("forget", "--yes"), ("show",)])
async def test_the_other_spelling_of_a_number_is_named(console: Console, command: tuple[str, ...]) -> None:
    await console.put("m1", phone="551199990000")
    answer = await console.run(*command, "bot", "+55 11 99999-0000")
    assert "WhatsApp may know this number as 551199990000" in answer.out + answer.err
    other = await console.run(*command, "bot", "201")
    assert "WhatsApp may know" not in other.out + other.err


async def test_files_with_the_users_data_are_named(console: Console, tmp_path: Path) -> None:
    files = {"record_to": tmp_path, "record_text": True, "dead_letters_file": tmp_path / "dead.jsonl"}
    console.settings = console.settings.model_copy(update=files)
    answer = await console.run("forget", "bot", "201", "--yes")
    assert answer.lines[-2:] == [
        f"kept: dead letters that the monitor moved to {tmp_path}/dead.jsonl",
        f"kept: recordings in {tmp_path}/, with texts, where a hash stands for the user",
    ]


async def test_a_user_is_forgotten_by_any_address(console: Console) -> None:
    addresses = {"phone": "201000000001", "lid": "1038@lid"}
    await ConversationMemory(console.queue.notes).save("bot", "1038@lid", Memory(conversation_id="c"))
    for message_id, phone in (("m1", "1038@lid"), ("m2", "201000000001")):
        await console.queue.enqueue(
            QueueMessage(
                id=message_id,
                instance_name="bot",
                user_phone=phone,
                message="hi",
                message_data={"addresses": addresses},
            )
        )
    await console.queue.fail(await claimed_batch(console.queue), "no luck", dead=True)
    answer = await console.run("forget", "bot", "+20 100 000 0001", "--yes")
    assert answer.lines[0] == "deleted: 2 dead letters, the AI's memory, statistics"
    for phone in addresses.values():
        assert (await console.run("show", "bot", phone)).code == 1
    keys = [text(key) for key in await console.queue.redis.keys()]
    assert [key for key in keys if "201000000001" in key or "1038" in key] == []
