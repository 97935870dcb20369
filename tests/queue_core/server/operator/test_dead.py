"""`dead list | show | requeue | drop`."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from redis.asyncio import Redis

from queue_core import QueueMessage, QueueUnavailableError
from queue_core.channels.phrases import Phrases
from queue_core.channels.unreadable import unreadable
from queue_core.queue.upkeep.dead_letters import DeadLetters
from queue_core.server.operator.dead import PAGE
from tests.queue_core.bot import claimed_batch
from tests.queue_core.server.operator.console import HOSTILE, Console, console_on, settings_for


def entry(conversation: str, reason: str, stored: str) -> dict[Any, Any]:
    """Return the fields of a dead letter in Redis."""
    return {
        "conversation": conversation,
        "reason": reason,
        "at": 1_700_000_000_000,
        "attempts": 4,
        "message": stored,
    }


def stored_message(message_id: str, phone: str) -> str:
    return json.dumps({"id": message_id, "instanceName": "bot", "userPhone": phone, "message": "hi"})


async def add_dead_letters(console: Console, number: int, reason: str = "planted") -> None:
    """Add dead letters at once, each of another user."""
    pipeline = console.queue.redis.pipeline(transaction=False)
    for index in range(number):
        fields = entry(f"bot:{index}", reason, stored_message(f"m{index}", str(index)))
        pipeline.xadd(console.queue.keys.partitions[0].dead, fields)
    await pipeline.execute()


async def test_list_shows_who_and_why_and_no_text_unless_asked(console: Console) -> None:
    await console.put_dead_letter("one", "the AI said 401", text="my password")
    await console.put_dead_letter("two", "too late", phone="202")
    shown = await console.run("dead", "list")
    assert shown.code == 0
    assert shown.lines[0].startswith("id ")
    assert "the AI said 401" in shown.lines[1]
    assert "too late" in shown.lines[2]
    assert "password" not in shown.out
    assert "my password" in (await console.run("dead", "list", "--text")).lines[1]


@pytest.mark.parametrize(
    ("reason", "state", "arrives"),
    [
        ("undelivered: error 131026: Undeliverable", "the provider took it", False),
        ("not sent, and never will be", "recorded; the reason says what became of it", True),
    ],
)
async def test_show_says_what_became_of_the_reply(
    console: Console, reason: str, state: str, arrives: bool
) -> None:
    await console.queue.redis.xadd(
        console.queue.keys.partitions[0].dead,
        {**entry("bot:201", reason, stored_message("m", "201")), "reply": "yes"},
    )
    (letter,) = await console.queue.dead_letters()
    shown = (await console.run("dead", "show", letter.id)).out
    assert f"yes  ({state})" in shown
    assert ("arrived" in shown) == arrives


async def test_list_as_json_is_one_object_a_line(console: Console) -> None:
    await console.put_dead_letter("one", "reason", phone=HOSTILE, text="secret words")
    (line,) = (await console.run("dead", "list", "--json")).lines
    assert line.isascii()
    letter = json.loads(line)
    assert (letter["messageId"], letter["reason"], letter["userPhone"]) == ("one", "reason", HOSTILE)
    assert "text" not in letter
    assert json.loads((await console.run("dead", "list", "--json", "--text")).out)["text"] == "secret words"


async def test_list_by_reason_and_limit(console: Console) -> None:
    await add_dead_letters(console, 3, "Timeout of the AI")
    await add_dead_letters(console, 2, "status 401")
    assert len((await console.run("dead", "list", "--reason", "TIMEOUT")).lines) == 1 + 3
    cut = await console.run("dead", "list", "--limit", "4")
    assert len(cut.lines) == 1 + 4
    assert cut.err == "these are the first 4 dead letters; --limit 0 lists all of them\n"
    assert (await console.run("dead", "list", "--limit", "5")).err == ""
    empty = await console.run("dead", "list", "--reason", "nobody said this")
    assert (empty.code, empty.out) == (0, "no dead letters with --reason\n")


async def test_list_goes_through_pages(console: Console) -> None:
    await add_dead_letters(console, 2 * PAGE + 7)
    listed = await console.run("dead", "list", "--limit", "0")
    assert len(listed.lines) == 1 + 2 * PAGE + 7
    assert len({line.index("planted") for line in listed.lines[1:]}) <= 3, "columns only ever grow wider"


async def test_hostile_names_and_reasons_stay_on_their_line(console: Console) -> None:
    await console.put_dead_letter(
        "id\x1b[31m", "reason\n\x1b]0;title\x07", phone=HOSTILE, text="text\r\n\u202eover"
    )
    for arguments in (["dead", "list", "--text"], ["dead", "show", await only_id(console)]):
        shown = await console.run(*arguments)
        assert not set(shown.out) & set("\x1b\x07\r\u202e")
    assert len((await console.run("dead", "list", "--text")).lines) == 2


async def only_id(console: Console) -> str:
    (letter,) = await console.queue.dead_letters()
    return letter.id


async def test_show_has_the_text_the_reason_and_the_reply(console: Console) -> None:
    await console.put("one", text="what I wrote")
    batch = await claimed_batch(console.queue)
    await console.queue.record_reply(batch, "what it said")
    await console.queue.fail(batch, "refused", dead=True)
    letter_id = await only_id(console)
    shown = await console.run("dead", "show", letter_id)
    assert shown.code == 0
    assert all(words in shown.out for words in ("what I wrote", "refused", "what it said", "one", "201"))
    as_json = (await console.run("dead", "show", letter_id, "--json")).json
    assert as_json["message"]["messageData"]["webhook"] == {"secret": "of the webhook"}
    assert (as_json["reply"], as_json["raw"]) == ("what it said", None)


async def test_show_has_the_text_of_an_unreadable_entry(console: Console) -> None:
    fields = entry("bot:201", "unreadable", "\x1bgarbage")
    await console.queue.redis.xadd(console.queue.keys.partitions[0].dead, fields)
    shown = await console.run("dead", "show", await only_id(console))
    assert r"\x1bgarbage" in shown.out
    assert (await console.run("dead", "list", "--text")).lines[1].endswith("(unreadable)")


async def test_show_of_a_webhook_that_was_not_understood_has_what_came(console: Console) -> None:
    item = unreadable(Phrases("en"), "cloud", "bot", "201", {"text": 5}, "text is a number")
    await console.queue.keep_unreadable(item.message, item.reason)
    shown = await console.run("dead", "show", await only_id(console))
    assert '{"text":5}' in shown.out
    assert "text is a number" in shown.out


@pytest.mark.parametrize("letter_id", ["0/1-1", "7/1-1", "nonsense", "0/\x1b[2J"])
async def test_an_unknown_id_exits_with_1(console: Console, letter_id: str) -> None:
    await add_dead_letters(console, 1)
    for command in ("show", "requeue", "drop"):
        answer = await console.run("dead", command, letter_id)
        assert answer.code == 1
        assert "no dead letter" in answer.err
        assert "\x1b" not in answer.err
    assert len(await console.queue.dead_letters()) == 1


async def test_requeue_by_id_skips_missing_ids(console: Console) -> None:
    await add_dead_letters(console, 3)
    first, second, third = [letter.id for letter in await console.queue.dead_letters()]
    answer = await console.run("dead", "requeue", first, "0/1-1", third, third)
    assert (answer.code, answer.out) == (1, "2 dead letters requeued\n")
    assert [letter.id for letter in await console.queue.dead_letters()] == [second]
    assert {message.id for phone in "02" for message in await console.queue.pending("bot", phone)} == {
        "m0",
        "m2",
    }


async def test_requeue_all_goes_through_pages_in_order(console: Console) -> None:
    await add_dead_letters(console, PAGE + 5, "kept")
    ids = [f"x{index:03}" for index in range(PAGE + 5)]
    for message_id in ids:
        fields = entry("bot:x", "Mended", stored_message(message_id, "x"))
        await console.queue.redis.xadd(console.queue.keys.partitions[0].dead, fields)
    answer = await console.run("dead", "requeue", "--all", "--reason", "mended", "--json")
    assert (answer.code, answer.json) == (0, {"requeued": PAGE + 5, "notFound": []})
    assert [message.id for message in await console.queue.pending("bot", "x")] == ids
    assert {letter.reason for letter in await console.queue.dead_letters()} == {"kept"}


async def test_requeue_all_takes_the_dead_letters_that_were_there_when_it_began(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that gives up on each message as fast as it is requeued must not keep the command going for ever."""
    await add_dead_letters(console, PAGE + 5)
    requeue = DeadLetters.requeue

    async def requeue_and_fail_again(letters: DeadLetters, letter_id: str) -> None:
        await requeue(letters, letter_id)
        await add_dead_letters(console, 1, "again")

    monkeypatch.setattr(DeadLetters, "requeue", requeue_and_fail_again)
    async with asyncio.timeout(60):
        answer = await console.run("dead", "requeue", "--all")
    assert answer.out == f"{PAGE + 5} dead letters requeued\n"
    assert len(await console.queue.dead_letters()) == PAGE + 5


async def test_all_over_several_partitions(real_redis: Redis, capsys: pytest.CaptureFixture[str]) -> None:
    console = console_on(real_redis, capsys, QUEUE_PARTITIONS="3")
    for partition in console.queue.keys.partitions[:2]:
        await real_redis.xadd(partition.dead, entry("bot:1", "r", "no message"))
    answer = await console.run("dead", "drop", "--all", "--yes")
    assert (answer.code, answer.out) == (0, "2 dead letters dropped\n")
    assert await console.queue.dead_letters() == []


@pytest.mark.parametrize("command", ["requeue", "drop"])
async def test_an_id_that_is_not_there_is_an_error_and_not_a_count(console: Console, command: str) -> None:
    answer = await console.run("dead", command, "0/1-1")
    assert (answer.code, answer.out) == (1, "")
    assert "0/1-1" in answer.err


async def test_show_says_how_late_a_message_was_in_days(console: Console) -> None:
    now_ms = await console.queue.now_ms()
    late = QueueMessage(
        id="late", instance_name="bot", user_phone="201", message="hi", timestamp=now_ms - 50 * 3_600_000
    )
    await console.queue.enqueue(late)
    (letter,) = await console.queue.dead_letters()
    shown = await console.run("dead", "show", letter.id)
    assert "2 d 02 h before it became a dead letter" in next(
        line for line in shown.lines if line.startswith("written")
    )
    assert not [line for line in shown.lines if line.startswith("kind")], (
        "a message without a kind has no line"
    )


async def test_drop_all_needs_a_yes(console: Console) -> None:
    await add_dead_letters(console, 2)
    assert "then add --yes" in await console.usage_error("dead", "drop", "--all")
    assert len(await console.queue.dead_letters()) == 2
    first, _ = await console.queue.dead_letters()
    assert (await console.run("dead", "drop", first.id)).out == "1 dead letter dropped\n"
    assert (
        await console.run("dead", "drop", "--all", "--yes", "--reason", "plant")
    ).out == "1 dead letter dropped\n"
    assert (await console.run("dead", "drop", "--all", "--yes")).out == "0 dead letters dropped\n"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ([], "give the ids of dead letters, or --all"),
        (["0/1-1", "--all"], "give either ids or --all"),
        (["0/1-1", "--reason", "x"], "together with --reason, give --all and no ids"),
        (["--phone", "201", "--instance", "bot"], "together with --instance and --phone, give --all"),
    ],
    ids=str,
)
@pytest.mark.parametrize("command", ["requeue", "drop"])
async def test_an_unclear_choice_is_wrong_usage(
    console: Console, command: str, arguments: list[str], hint: str
) -> None:
    await add_dead_letters(console, 1)
    refused = await console.usage_error("dead", command, *arguments)
    assert refused.startswith(f"python -m queue_core dead {command}: error: {hint}")
    assert len(await console.queue.dead_letters()) == 1


async def test_dead_letters_of_one_user_are_listed_and_dropped(console: Console) -> None:
    await console.put_dead_letter("one", "refused", phone="966500000001")
    await console.put_dead_letter("two", "refused", phone="966500000002")
    for spelling in ("966500000001", "+966 50-000-0001", "966500000001@s.whatsapp.net"):
        listed = await console.run("dead", "list", "--instance", "bot", "--phone", spelling, "--json")
        assert [json.loads(line)["messageId"] for line in listed.lines] == ["one"]
    assert (
        await console.run("dead", "list", "--instance", "other")
    ).out == "no dead letters with --instance\n"
    dropped = await console.run("dead", "drop", "--all", "--yes", "--phone", "+966 50 000 0001")
    assert dropped.out == "1 dead letter dropped\n"
    assert [letter.user_phone for letter in await console.queue.dead_letters()] == ["966500000002"]


async def test_without_redis_requeue_says_how_far_it_came(
    console: Console, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await add_dead_letters(console, 3)
    requeue = DeadLetters.requeue

    async def only_the_first(letters: DeadLetters, letter_id: str) -> None:
        if letter_id != first.id:
            raise QueueUnavailableError("gone")
        await requeue(letters, letter_id)

    first, *_ = await console.queue.dead_letters()
    monkeypatch.setattr(DeadLetters, "requeue", only_the_first)
    with pytest.raises(QueueUnavailableError):
        await console.run("dead", "requeue", "--all")
    assert "1 dead letter requeued before the failure" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["list"], ["show", "0/1-1"], ["requeue", "--all"], ["drop", "--all", "--yes"]]
)
async def test_without_redis_each_command_fails(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console(settings_for("unix:///nowhere/redis.sock"), capsys)
    with pytest.raises(QueueUnavailableError):
        await console.run("dead", *arguments)
