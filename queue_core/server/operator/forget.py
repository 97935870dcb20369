"""`forget`: deletes everything that is kept about one user."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import msgspec

from queue_core.durations import age
from queue_core.legacy.buffer import Buffer, Conversation
from queue_core.legacy.inspection import read_buffer
from queue_core.legacy.store import LegacyStore, StoredMessage
from queue_core.queue.message_queue import MessageQueue
from queue_core.queue.upkeep.erasure import Forgotten
from queue_core.server.config import ServerSettings
from queue_core.server.operator.arguments import (
    OK,
    add_command,
    add_instance,
    other_spelling_words,
    phone_spellings,
)
from queue_core.server.operator.output import complain, short_name, write, write_json
from queue_core.server.own_redis import open_queue
from queue_core.text import quantity

NOT_YET = 3
"""Exit code: messages wait or are being answered, so they were not deleted."""


def add_forget(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "forget",
        run_forget,
        summary="delete everything that is kept about one user",
        description="""
            Deletes for good what Redis keeps about one user, such as finished messages, dead letters, the AI's memory,
            statistics, a recorded reply, and the legacy buffer; and says what it deleted. While messages are being
            answered it deletes nothing. While messages wait it deletes nothing either, unless --drop-waiting says to
            delete them unanswered. The command may be repeated. It deletes what is kept under PHONE as typed,
            and under its digits. If nothing is kept under a number of Brazil, Mexico or Argentina, the output names the
            other spelling of that number.

            Ids of messages stay until they expire, so that a repeated delivery is not answered. Files are not changed.
            """,
        epilog="""
            examples:
              python -m queue_core forget mybot 5511999990000 --yes
              python -m queue_core forget mybot 5511999990000 --drop-waiting --yes

            exit codes: 0 deleted, or nothing was kept; 1 Redis is not available; 2 wrong usage (without --yes) or
            configuration; 3 not deleted, since messages wait or are being answered
            """,
    )
    add_instance(parser)
    parser.add_argument(
        "phone",
        metavar="PHONE",
        help="the user's number with country code, such as +55 11 99999-0000; also …@s.whatsapp.net or …@lid",
    )
    parser.add_argument(
        "--drop-waiting", action="store_true", help="delete waiting messages too; they will never be answered"
    )
    parser.add_argument("--yes", action="store_true", help="yes, delete the data")


class _Outcome(msgspec.Struct, kw_only=True):
    """Outcome for one name of the user."""

    conversation: Conversation
    buffered: int
    """Messages in the legacy buffer."""
    queued: Forgotten | None
    """None when messages wait in the legacy buffer, so that nothing was deleted."""

    @property
    def is_deleted(self) -> bool:
        return self.queued is not None and self.queued.standing == "forgotten"

    @property
    def is_empty(self) -> bool:
        return self.queued is not None and self.is_deleted and self.queued.is_empty and not self.buffered


async def run_forget(args: argparse.Namespace, settings: ServerSettings) -> int:
    """Delete what is kept of a user, and write what was deleted."""
    if not args.yes:
        args.wrong_usage("forget deletes for good: look at `show INSTANCE PHONE`, then add --yes")
    async with open_queue(settings) as queue:
        outcomes = await _forget_all(
            queue,
            [(args.instance, phone) for phone in phone_spellings(args.phone)],
            drop_waiting=args.drop_waiting,
        )
    known = [outcome for outcome in outcomes if not outcome.is_empty]
    if args.json:
        write_json({"conversations": [_as_json(outcome) for outcome in known], "kept": [*_kept(settings)]})
    else:
        _write(args, known, settings)
    return OK if all(outcome.is_deleted for outcome in outcomes) else NOT_YET


async def _forget_all(
    queue: MessageQueue, conversations: list[Conversation], *, drop_waiting: bool
) -> list[_Outcome]:
    """Forget conversations, but none while one of them has messages that may not be deleted now."""
    refused = {
        conversation: await _refuses(queue, conversation, drop_waiting=drop_waiting)
        for conversation in conversations
    }
    outcomes = []
    for conversation in sorted(conversations, key=lambda conversation: not refused[conversation]):
        outcomes.append(await _forget(queue, conversation, drop_waiting=drop_waiting))
        if not outcomes[-1].is_deleted:
            break
    return outcomes


async def _refuses(queue: MessageQueue, conversation: Conversation, *, drop_waiting: bool) -> bool:
    buffers = [] if drop_waiting else await _buffers(queue, await queue.aliases.names_of_user(*conversation))
    return not all(buffer.processed for buffer in buffers) or await queue.erasure.refuses(
        *conversation, drop_waiting=drop_waiting
    )


async def _buffers(queue: MessageQueue, names: list[Conversation]) -> list[Buffer[StoredMessage]]:
    return [buffer for user in names if (buffer := await read_buffer(queue, user))]


async def _forget(queue: MessageQueue, conversation: Conversation, *, drop_waiting: bool) -> _Outcome:
    names = await queue.aliases.names_of_user(*conversation)
    buffers = await _buffers(queue, names)
    buffered = sum(len(buffer.messages) for buffer in buffers)
    outcome = _Outcome(conversation=conversation, buffered=buffered, queued=None)
    if not all(buffer.processed for buffer in buffers) and not drop_waiting:
        return outcome
    outcome.queued = await queue.forget(*conversation, drop_waiting=drop_waiting)
    if outcome.is_deleted:
        for user in names:
            await LegacyStore(queue).forget(user)
    return outcome


def _write(args: argparse.Namespace, known: list[_Outcome], settings: ServerSettings) -> None:
    if not known:
        write(
            f"nothing to delete is kept about {short_name(args.instance)} {short_name(args.phone)}"
            f"{other_spelling_words(args.phone)}; if you expected data, check INSTANCE (`show TAG` prints it)"
        )
    for outcome in known:
        if outcome.is_deleted:
            write(f"deleted: {', '.join(_contents(outcome))}")
        else:
            some = any(other.is_deleted for other in known)
            complain(_refusal(outcome, "not everything was deleted" if some else "nothing was deleted"))
    if all(outcome.is_deleted for outcome in known):
        for sentence in _kept(settings):
            write(f"kept: {sentence}")


def _contents(outcome: _Outcome) -> Iterator[str]:
    """Name the data that was kept of a conversation."""
    queued = outcome.queued
    assert queued is not None
    for count, noun in (
        (queued.waiting, "waiting message"),
        (outcome.buffered, "buffered message"),
        (queued.finished, "finished message"),
        (queued.dead_letters, "dead letter"),
        (queued.damaged, "damaged key"),
    ):
        if count:
            yield quantity(count, noun)
    for is_there, words in (
        (queued.reply, "a recorded reply"),
        (queued.memory, "the AI's memory"),
        (queued.statistics, "statistics"),
    ):
        if is_there:
            yield words


def _refusal(outcome: _Outcome, what: str) -> str:
    queued = outcome.queued
    if queued and queued.standing == "in flight":
        return (
            f"{what}, since a worker is answering this user. Type the command again in a moment, or if the "
            f"worker has died, in {age(queued.lease_left_ms)}"
        )
    waiting = (queued.waiting if queued else 0) + outcome.buffered
    return (
        f"{what}, since {quantity(waiting, 'message')} must still be answered. Type the command again "
        "when that is done, or add --drop-waiting to delete unanswered messages too"
    )


def _kept(settings: ServerSettings) -> Iterator[str]:
    """Name the places that may still have data of the user."""
    ids_ms = settings.queue.dedupe_ttl_s * 1000 * 4 / 3  # they expire in groups of a third of that time
    yield (f"ids of messages, for up to {age(ids_ms)}, so that a repeated delivery is not answered")
    if settings.dead_letters_file:
        yield f"dead letters that the monitor moved to {settings.dead_letters_file}"
    if settings.record_to:
        texts = "with texts" if settings.record_text else "without texts"
        yield f"recordings in {settings.record_to}/, {texts}, where a hash stands for the user"


def _as_json(outcome: _Outcome) -> dict[str, Any]:
    instance, phone = outcome.conversation
    queued = msgspec.to_builtins(outcome.queued) if outcome.queued else {"standing": "waiting"}
    return {"instanceName": instance, "userPhone": phone, **queued, "oldBuffer": outcome.buffered}
