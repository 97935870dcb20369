"""`show INSTANCE PHONE`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from redis.asyncio import Redis

from queue_core import QueueMessage, QueueUnavailableError
from queue_core.ai.memory import ConversationMemory, Memory, Turn
from queue_core.queue.outages import OutageSign
from queue_core.queue.upkeep.sent_replies import Report, SentReply
from queue_core.server.tags import ConversationTags
from tests.queue_core.bot import claimed_batch
from tests.queue_core.server.operator.console import HOSTILE, Console, console_on, settings_for


async def test_an_unknown_conversation_exits_with_1(console: Console) -> None:
    answer = await console.run("show", "bot", HOSTILE)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith(r"queue_core: nothing is known about bot ev:il{0}\n\x1b[2J")
    assert len(answer.err.splitlines()) == 1


async def test_waiting_messages_with_their_texts(console: Console) -> None:
    await console.put("one", text="first words")
    await console.put("two", text="and then\x1b[2J\nmore \u202e")
    shown = await console.run("show", "bot", "201")
    assert shown.code == 0
    assert "2 messages not finished" in shown.out
    rows = [line for line in shown.lines if line.startswith("pending")]
    assert rows[0].endswith("one  first words")
    assert rows[1].endswith(r"two  and then\x1b[2J\nmore \u202e")
    assert "2 messages arrived, 0 finished" in shown.out
    assert "webhook" not in shown.out


async def test_a_lease_and_a_recorded_reply(console: Console) -> None:
    await console.put("one")
    batch = await claimed_batch(console.queue, "worker\x1b-7")
    await console.queue.record_reply(batch, "the reply\x1b[2J\fits second part\f")
    await console.put("two", text="while it is answered")
    shown = await console.run("show", "bot", "201")
    assert "being answered; the lease is renewed, or runs out in " in shown.out
    assert r"by worker\x1b-7" in shown.out
    assert r"the reply\x1b[2J | its second part" in shown.out
    assert r"\x0c" not in shown.out
    assert "unsure, last tried " in shown.out
    assert [line.split()[0] for line in shown.lines if " hi" in line or "while" in line] == [
        "processing",
        "pending",
    ]
    as_json = (await console.run("show", "bot", "201", "--json")).json
    assert as_json["lease"]["processorId"] == "worker\x1b-7"
    assert as_json["lease"]["messages"] == 1
    assert as_json["lease"]["expiresAtMs"] > as_json["nowMs"]
    assert as_json["reply"] | {"recordedAtMs": 0} == {
        "text": "the reply\x1b[2J\fits second part\f",
        "messages": 1,
        "sendState": "unsure",
        "recordedAtMs": 0,
    }


async def test_replies_that_did_not_arrive(console: Console) -> None:
    await console.put("one")
    for number, reason in enumerate(("Undeliverable", "Too late\x1b[2J")):
        report = Report(
            kind="failed",
            instance_name="bot",
            reply_id=f"out{number}",
            user_phone="201",
            code="131047",
            reason=reason,
        )
        await console.queue.sent.note_undelivered(report, SentReply("bot", "201", b"", ""))
    shown = await console.run("show", "bot", "201")
    assert "2 replies; the newest was reported " in shown.out
    assert r"error 131047: Too late\x1b[2J" in shown.out
    as_json = (await console.run("show", "bot", "201", "--json")).json
    assert [reply["replyId"] for reply in as_json["undelivered"]] == ["out0", "out1"]


async def test_a_lease_that_ran_out(real_redis: Redis, capsys: pytest.CaptureFixture[str]) -> None:
    console = console_on(real_redis, capsys)
    await console.put("one")
    await claimed_batch(console.queue)
    await real_redis.hset(console.queue.keys.of("bot", "201").lock, "expiresAt", "1000")
    assert "its lease ran out" in (await console.run("show", "bot", "201")).out


async def test_a_turn_that_waits_for_the_ai(console: Console) -> None:
    for phone in ("201", "202"):
        await console.put("one", phone=phone)
    sign = OutageSign("ai", 10)
    for batch in [await claimed_batch(console.queue), await claimed_batch(console.queue)]:
        await console.queue.fail(batch, "the AI answered 503", after_ms=60_000, sign=sign)
    states = [(await console.run("show", "bot", phone)).out for phone in ("201", "202")]
    assert sum("waits for the AI, which is away: see `status`" in state for state in states) == 1
    assert sum("after 0 attempts and 1 that do not count" in state for state in states) == 1
    shown = [(await console.run("show", "bot", phone, "--json")).json for phone in ("201", "202")]
    assert {each["awaits"] for each in shown} == {None, "ai"}
    assert {each["retry"]["setbacks"] for each in shown} == {1}


async def test_a_turn_that_waits_for_room_for_dead_letters(
    real_redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    console = console_on(real_redis, capsys, QUEUE_DEAD_LETTERS_MAX="1")
    for phone in ("201", "202"):
        await console.put_dead_letter(f"to {phone}", "the AI refused", phone=phone)
    shown = await console.run("show", "bot", "202")
    assert "given up; waits for room for dead letters" in shown.out
    assert re.search(r"^last error +the AI refused$", shown.out, re.MULTILINE)
    as_json = (await console.run("show", "bot", "202", "--json")).json
    assert as_json["retry"]["givenUp"] == "the AI refused"


async def test_a_backoff_with_the_error(console: Console) -> None:
    await console.put("one")
    await console.queue.fail(await claimed_batch(console.queue), "the AI said\x1b 503", after_ms=60_000)
    shown = await console.run("show", "bot", "201")
    assert "tried again in " in shown.out
    assert "after 1 attempt" in shown.out
    assert r"the AI said\x1b 503" in shown.out
    (row,) = (line for line in shown.lines if line.startswith("pending"))
    assert row.split()[1] == "1"
    as_json = (await console.run("show", "bot", "201", "--json")).json
    assert (as_json["retry"]["attempts"], as_json["lease"]) == (1, None)
    assert as_json["retry"]["atMs"] - as_json["nowMs"] == pytest.approx(60_000, abs=20_000)


async def test_a_stranded_conversation_is_called_so(console: Console) -> None:
    await console.put("one")
    await console.queue.redis.delete(console.queue.keys.partitions[0].active)
    assert "STRANDED" in (await console.run("show", "bot", "201")).out


async def test_the_last_finished_messages(console: Console) -> None:
    for number in range(7):
        await console.put(f"m{number}", text=f"text {number}")
        await console.queue.complete(await claimed_batch(console.queue))
    shown = await console.run("show", "bot", "201")
    assert "the last 5 of 7 finished messages:" in shown.out
    assert "text 1" not in shown.out
    assert shown.lines[-1].endswith("text 6")
    assert "nothing waits" in shown.out
    finished = (await console.run("show", "bot", "201", "--finished", "2", "--json")).json["finished"]
    assert [message["id"] for message in finished] == ["m5", "m6"]
    assert all(message["completedAt"] >= message["addedAt"] > 0 for message in finished)
    assert "finished messages" not in (await console.run("show", "bot", "201", "--finished", "0")).out


async def test_all_finished_messages_are_not_called_the_last(console: Console) -> None:
    await console.put("m1")
    await console.queue.complete(await claimed_batch(console.queue))
    assert "1 finished message:" in (await console.run("show", "bot", "201")).lines


async def test_a_requeued_message_counts_as_arrived(console: Console) -> None:
    """Statistics of a conversation are gone an hour after its last activity."""
    await console.put_dead_letter("one", "refused")
    await console.queue.redis.delete(console.queue.keys.of("bot", "201").stats)
    await console.queue.requeue((await console.queue.dead_letters())[0].id)
    await console.queue.complete(await claimed_batch(console.queue))
    assert "1 message arrived, 1 finished" in (await console.run("show", "bot", "201")).out


async def test_the_column_of_kinds_is_shown_only_if_a_kind_is_known(console: Console) -> None:
    await console.put("one")
    assert "kind" in (await console.run("show", "bot", "201")).out
    await console.queue.enqueue(QueueMessage(id="two", instance_name="bot", user_phone="202", message="hi"))
    assert "kind" not in (await console.run("show", "bot", "202")).out


async def test_long_texts_are_cut_unless_full(console: Console) -> None:
    await console.put("one", text="x" * 500)
    assert "x" * 79 + "…" in (await console.run("show", "bot", "201")).out
    assert "x" * 500 in (await console.run("show", "bot", "201", "--full")).out
    assert "messageData" not in (await console.run("show", "bot", "201", "--json")).json["pending"][0]
    whole = (await console.run("show", "bot", "201", "--json", "--full")).json["pending"][0]
    assert whole["messageData"]["webhook"] == {"secret": "of the webhook"}


async def test_dead_letters_and_how_to_see_them(console: Console) -> None:
    await console.put_dead_letter("one", "the AI said 401", phone="966500000001")
    await console.put_dead_letter("two", "the AI said\x1b 503", phone="966500000001")
    shown = await console.run("show", "bot", "966500000001")
    assert "nothing waits; 2 messages given up" in shown.out
    assert re.search(r"2, the newest [\d.]+ s ago: the AI said\\x1b 503", shown.out)
    command = "python -m queue_core dead list --instance bot --phone 966500000001"
    assert command in shown.out
    assert len((await console.run(*command.split()[3:])).lines) == 1 + 2
    letters = await console.queue.dead_letters()
    as_json = (await console.run("show", "bot", "966500000001", "--json")).json
    assert as_json["deadLetters"] == [letter.id for letter in letters]


async def test_dead_letters_alone_are_shown(console: Console) -> None:
    """The statistics of a conversation are gone an hour after its last activity, its dead letters stay."""
    await console.put_dead_letter("one", "refused")
    await console.queue.redis.delete(console.queue.keys.of("bot", "201").stats)
    assert (await console.run("show", "bot", "201")).code == 0


@pytest.mark.parametrize(
    "spelling",
    [
        "966500000001",
        "+966500000001",
        "+966 50-000 0001",
        "\u202a+966 (50) 000.0001\u202c",
        "966500000001@s.whatsapp.net",
        "966500000001:12@s.whatsapp.net",
    ],
)
async def test_a_phone_is_found_as_people_write_it(console: Console, spelling: str) -> None:
    await console.put("one", phone="966500000001")
    shown = await console.run("show", "bot", spelling, "--json")
    assert (shown.code, shown.json["userPhone"]) == (0, "966500000001")


async def test_a_name_that_is_stored_as_typed_comes_first(console: Console) -> None:
    await console.put("one", phone="+966 500000001")
    await console.put("two", phone="966500000001")
    assert [
        message["id"]
        for message in (await console.run("show", "bot", "+966 500000001", "--json")).json["pending"]
    ] == ["one"]


async def test_what_the_ai_remembers(console: Console) -> None:
    memory = Memory(
        conversation_id="dify\x1b-1",
        history=(Turn("user", "said\x1b before"), Turn("assistant", "answered")),
        needs_data_collection=True,
        requested_fields=("e-mail",),
    )
    await ConversationMemory(console.queue.notes).save("bot", "201", memory)
    shown = await console.run("show", "bot", "201")
    assert shown.code == 0
    assert r"dify\x1b-1" in shown.out
    assert r"said\x1b before" in shown.out
    assert "e-mail" in shown.out
    assert (await console.run("show", "bot", "201", "--json")).json["memory"] == {
        "conversationId": "dify\x1b-1",
        "needsDataCollection": True,
        "requestedFields": ["e-mail"],
        "history": [
            {"role": "user", "text": "said\x1b before"},
            {"role": "assistant", "text": "answered"},
        ],
    }


async def test_a_value_that_is_not_a_message_does_not_hide_messages(console: Console) -> None:
    await console.put("one", text="good words")
    await console.queue.redis.lpush(console.queue.keys.of("bot", "201").queue, "\x1bgarbage")
    shown = await console.run("show", "bot", "201")
    assert "unreadable" in shown.out
    assert "good words" in shown.out


async def test_hostile_names_find_their_own_conversation(console: Console) -> None:
    await console.put("id\n\x1b", phone=HOSTILE, instance="a:b", text="found")
    await console.put("other", phone="b:x", instance="a", text="not this one")
    shown = await console.run("show", "a:b", HOSTILE)
    assert "found" in shown.out
    assert "not this one" not in shown.out
    assert not set(shown.out) & set("\x1b\x07\u202e")


async def test_without_redis(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(QueueUnavailableError):
        await Console(settings_for("unix:///nowhere/redis.sock"), capsys).run("show", "bot", "201")


async def test_a_conversation_is_shown_by_its_tag_in_the_log(console: Console) -> None:
    await console.put("one")
    tags = ConversationTags()
    assert await tags.share_key(console.queue.notes)
    shown = await console.run("show", tags.of("bot", "201"))
    assert shown.code == 0
    assert "201" in next(line for line in shown.lines if line.startswith("phone"))
    unknown = await console.run("show", tags.of("bot", "202"))
    assert unknown.code == 1
    assert unknown.err.startswith("queue_core: no known conversation has the tag")


async def test_messages_that_their_user_changed(
    real_redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    console = console_on(real_redis, capsys, QUEUE_KEEP_DELETED_TEXTS="true")
    await console.put("one", text="my pin is 1234")
    await console.put("two", text="at four")
    for message_id, words, target in (("d", "", "one"), ("e", "at five", "two")):
        change = QueueMessage(id=message_id, instance_name="bot", user_phone="201", message=words)
        await (console.queue.edit(change, target) if words else console.queue.delete(change, target))
    shown = await console.run("show", "bot", "201")
    rows = [" ".join(line.split()) for line in shown.lines if line.startswith("pending")]
    assert rows[0].endswith("text deleted one my pin is 1234")
    assert rows[1].endswith("edited two at five (before: at four)")


async def test_a_user_is_shown_by_any_address(console: Console) -> None:
    addresses = {"phone": "201000000001", "lid": "1038@lid"}
    for message_id, phone in (("m1", "1038@lid"), ("m2", "201000000001")):
        await console.queue.enqueue(
            QueueMessage(
                id=message_id,
                instance_name="bot",
                user_phone=phone,
                message=f"words of {message_id}",
                message_data={"addresses": addresses},
            )
        )
    tags = ConversationTags()
    await tags.share_key(console.queue.notes)
    asked = (("bot", "1038@lid"), ("bot", "+20 100 000 0001"), (tags.of("bot", "201000000001"),))
    for arguments in asked:
        shown = await console.run("show", *arguments)
        assert shown.code == 0
        assert "words of m1" in shown.out
        assert "words of m2" in shown.out
        assert re.search(r"also known as +1038@lid\n", shown.out)
    as_json = (await console.run("show", "bot", "201000000001", "--json")).json
    assert (as_json["userPhone"], as_json["otherNames"]) == ("201000000001", ["1038@lid"])


async def test_dead_letters_are_listed_by_any_address(console: Console) -> None:
    await console.put_dead_letter("m1", "no luck", phone="1038@lid")
    addresses = {"phone": "201000000001", "lid": "1038@lid"}
    await console.queue.enqueue(
        QueueMessage(
            id="m2",
            instance_name="bot",
            user_phone="201000000001",
            message="hi",
            message_data={"addresses": addresses},
        )
    )
    listed = await console.run("dead", "list", "--instance", "bot", "--phone", "201000000001", "--json")
    assert listed.json["userPhone"] == "1038@lid"
    assert "dead letters" in (await console.run("show", "bot", "201000000001")).out


async def test_the_advice_of_the_last_error_is_not_cut(console: Console) -> None:
    await console.put("m1")
    await console.queue.fail(
        await claimed_batch(console.queue), "e" * 200 + ": check the key", after_ms=60_000
    )
    assert ": check the key" in (await console.run("show", "bot", "201")).out
