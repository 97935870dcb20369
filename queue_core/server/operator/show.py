"""`show`: shows everything that is known about one conversation."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from typing import Any

import msgspec

from queue_core.ai.memory import ConversationMemory, Memory
from queue_core.command_lines import typed
from queue_core.durations import age
from queue_core.legacy.buffer import Buffer
from queue_core.legacy.inspection import read_buffer
from queue_core.legacy.store import StoredMessage
from queue_core.message import DeadLetter, QueueMessage
from queue_core.queue.message_queue import MessageQueue
from queue_core.queue.upkeep.inspection import Conversation
from queue_core.queue.upkeep.sent_replies import words_of
from queue_core.server.config import ServerSettings
from queue_core.server.operator.arguments import (
    FAILED,
    OK,
    add_command,
    add_instance,
    other_spelling_words,
    phone_spellings,
    whole_number,
)
from queue_core.server.operator.output import (
    TEXT_CELLS_MAX,
    Table,
    complain,
    moment,
    reply_text,
    short_name,
    shortened,
    write,
    write_fields,
    write_json,
)
from queue_core.server.own_redis import open_queue
from queue_core.server.tags import ConversationTags
from queue_core.text import quantity, visible


def add_show(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "show",
        run_show,
        summary="everything about one conversation, texts included",
        description="""
            Shows one conversation: messages that are not finished, with attempts and age; which worker has it and
            until when; when it is tried again and why the last attempt failed; the reply to a turn that is not
            finished; dead letters; the last finished messages; statistics; messages in the legacy buffer, left from a
            time with USE_QUEUE_SYSTEM=false; and the AI's memory.

            It shows what the user wrote. Control characters are shown as codes, long texts are cut.
            """,
        epilog="""
            examples:
              python -m queue_core show mybot 5511999990000
              python -m queue_core show mybot 5511999990000 --full --json
              python -m queue_core show 4f0c21ab9e

            exit codes: 0 shown; 1 nothing is known about the conversation, or Redis is not available; 2 wrong usage or
            configuration
            """,
    )
    add_instance(parser, "; without PHONE, a tag from the log")
    parser.add_argument(
        "phone",
        metavar="PHONE",
        nargs="?",
        help="the user's number with country code, such as +55 11 99999-0000; also …@s.whatsapp.net or …@lid",
    )
    parser.add_argument(
        "--finished",
        type=whole_number(0, 100_000),
        default=5,
        metavar="N",
        help="show the last N of the finished messages (default: %(default)s)",
    )
    parser.add_argument("--full", action="store_true", help="do not cut long texts")


class _Overview(msgspec.Struct, kw_only=True):
    """Everything that is known about one conversation."""

    instance: str
    phone: str
    others: list[str]
    """Further names of the user that lead to this conversation."""
    queued: Conversation
    damaged: list[str]
    """Contents of damaged keys, which are missing in the rest."""
    dead: list[DeadLetter]
    buffers: list[Buffer[StoredMessage]]
    """Legacy buffers, of which each name of the user may have one."""
    memory: Memory

    @property
    def has_content(self) -> bool:
        return (
            self.queued.is_known or bool(self.dead or self.buffers or self.damaged) or self.memory != Memory()
        )


async def run_show(args: argparse.Namespace, settings: ServerSettings) -> int:
    """Read a conversation, and write what is known about it."""
    async with open_queue(settings) as queue:
        if args.phone is None:
            names = await _find(args.instance, queue, settings)
            if len(names) != 1:
                _complain_of_tag(args.instance, names)
                return FAILED
        else:
            names = [(args.instance, phone) for phone in phone_spellings(args.phone)]
        for instance, phone in names:
            overview = await _read(queue, instance, phone)
            if overview.has_content:
                break
        else:
            complain(
                f"nothing is known about {short_name(args.instance)} {short_name(args.phone)}"
                f"{other_spelling_words(args.phone)}: `status` lists the conversations that wait; finished messages "
                f"are kept for {age(settings.queue.completed_ttl_s * 1000)}"
            )
            return FAILED
    finished = overview.queued.completed[-args.finished :] if args.finished else []
    if args.json:
        write_json(_as_json(overview, finished, is_full=args.full))
        return OK
    write_fields(_facts(overview, is_full=args.full))
    _write_pending(overview.queued, is_full=args.full)
    _write_finished(overview.queued, finished, is_full=args.full)
    for buffer in overview.buffers:
        _write_buffer(buffer, overview.queued.now_ms, is_full=args.full)
    _write_memory(overview.memory, is_full=args.full)
    return OK


async def _read(queue: MessageQueue, instance: str, phone: str) -> _Overview:
    names = await queue.aliases.names_of_user(instance, phone)
    conversation = await queue.aliases.conversation_of(instance, phone)
    buffers = [await read_buffer(queue, name) for name in names]
    return _Overview(
        instance=instance,
        phone=conversation[1],
        others=[other for _, other in names if other != conversation[1]],
        queued=await queue.conversation(*conversation),
        damaged=await queue.damage.not_moved(conversation),
        dead=[
            letter
            async for letter in queue.iterate_dead_letters()
            if (letter.instance_name, letter.user_phone) in names
        ],
        buffers=[buffer for buffer in buffers if buffer],
        memory=await ConversationMemory(queue.notes).load(*conversation) or Memory(),
    )


async def _find(tag: str, queue: MessageQueue, settings: ServerSettings) -> list[tuple[str, str]]:
    tags = ConversationTags(settings.log_key.get_secret_value().encode())
    await tags.share_key(queue.notes)
    return await tags.find(tag, queue)  # raises when Redis does not answer


def _complain_of_tag(tag: str, names: list[tuple[str, str]]) -> None:
    if not names:
        complain(
            f"no known conversation has the tag {short_name(tag)}: give a tag from the log, or INSTANCE and PHONE; "
            "`status` lists the conversations that wait"
        )
    for instance, phone in names:
        complain(f"more than one conversation has this tag; type: show {_quoted(instance)} {_quoted(phone)}")


def _quoted(text: str) -> str:
    return shlex.quote(visible(text))


def _facts(overview: _Overview, *, is_full: bool) -> list[tuple[str, str]]:
    queued = overview.queued
    facts = [
        ("instance", visible(overview.instance)),
        ("phone", visible(overview.phone)),
        *((("also known as", visible(", ".join(overview.others))),) if overview.others else ()),
        ("state", _state(overview)),
    ]
    if overview.damaged:
        words = f"{', '.join(overview.damaged)}: something else changed these keys, so they are missing here"
        facts.append(("damaged", f"{words}; the worker moves them aside, then see `damaged list`"))
    if lease := queued.lease:
        held = f"{quantity(lease.messages, 'message')}, for {age(queued.now_ms - lease.locked_at_ms)}"
        facts.append(("lease", f"{held}, by {visible(lease.processor_id)}, token {visible(lease.token)}"))
    if retry := queued.retry:
        without_error = retry.given_up or "none, since the turn was handed back"
        facts.append(("last error", visible(retry.last_error or without_error)))
    if reply := queued.reply:
        since = age(queued.now_ms - reply.recorded_at_ms)
        words = f"{reply.send_state}, last tried {since} ago"
        facts.append(("reply", f"{words}: {_cut(reply_text(reply.text), is_full=is_full)}"))
    if undelivered := queued.undelivered:
        newest_failure = undelivered[-1]
        since = age(queued.now_ms - newest_failure.noted_at_ms)
        words = visible(words_of(newest_failure.code, newest_failure.reason))
        replies = "1 reply" if len(undelivered) == 1 else f"{len(undelivered)} replies"
        facts.append(("not delivered", f"{replies}; the newest was reported {since} ago: {words}"))
    if overview.dead:
        newest = overview.dead[-1]
        since = age(queued.now_ms - newest.dead_at_ms)
        reason = visible(newest.reason)
        names = f"--instance {_quoted(overview.instance)} --phone {_quoted(overview.phone)}"
        facts += [
            ("dead letters", f"{len(overview.dead):,}, the newest {since} ago: {reason}"),
            ("to see them", f"{typed('python -m queue_core dead list')} {names}"),
        ]
    if statistics := queued.statistics:
        total, processed = statistics.get("totalMessages", 0), statistics.get("processedMessages", 0)
        quiet = age(queued.now_ms - statistics.get("lastActivity", queued.now_ms))
        arrived = f"{quantity(max(total, processed), 'message')} arrived, {processed:,} finished"
        facts.append(("statistics", f"{arrived}, last activity {quiet} ago"))
    return facts


def _state(overview: _Overview) -> str:
    queued = overview.queued
    now_ms, at_ms = queued.now_ms, queued.attention_at_ms
    if lease := queued.lease:
        left_ms = lease.expires_at_ms - now_ms
        if left_ms > 0:
            return f"being answered; the lease is renewed, or runs out in {age(left_ms)}"
        return f"its lease ran out {age(-left_ms)} ago: the next worker takes it over"
    if not queued.pending:
        return _state_of_nothing_queued(overview)
    if at_ms is None:
        return typed("STRANDED: it has messages and no due time; `python -m queue_core monitor` repairs that")
    when = f"in {age(at_ms - now_ms)}" if at_ms > now_ms else f"now (overdue by {age(now_ms - at_ms)})"
    return _state_of_waiting(queued, when)


def _state_of_waiting(queued: Conversation, when: str) -> str:
    if queued.awaits:
        away = "the AI" if queued.awaits == "ai" else "the channel"
        return f"waits for {away}, which is away: see `status`"
    if queued.retry and queued.retry.given_up:
        return f"given up; waits for room for dead letters, next check {when}: see `status`"
    if retry := queued.retry:
        counted = f"tried again {when}, after {quantity(retry.attempts, 'attempt')}"
        return f"{counted} and {retry.setbacks:,} that do not count" if retry.setbacks else counted
    return f"due {when}"


def _state_of_nothing_queued(overview: _Overview) -> str:
    if buffered := sum(len(buffer.messages) for buffer in overview.buffers if not buffer.processed):
        words = f"{quantity(buffered, 'message')} in the legacy buffer"
    else:
        words = "nothing waits"
    dead = len(overview.dead)
    return words + (f"; {quantity(dead, 'message')} given up" if dead else "")


class _MessageTable(Table):
    """Table of messages: the given columns, then kind and change if any message has them, then id and text."""

    def __init__(
        self, messages: Sequence[QueueMessage], *columns: str, numbers: Sequence[str], is_full: bool
    ) -> None:
        self._has_kinds = any(map(_kind, messages))
        self._has_changes = any(message.changed for message in messages)
        self._is_full = is_full
        kind, changed = ("kind",) * self._has_kinds, ("changed",) * self._has_changes
        super().__init__(*columns, *kind, *changed, "id", "text", numbers=numbers)

    def add_message(self, message: QueueMessage, *cells: str) -> None:
        """Add a row."""
        kind = (_kind(message),) if self._has_kinds else ()
        changed = (message.changed,) if self._has_changes else ()
        words = message.message
        if message.earlier:
            words = f"{words} (before: {message.earlier})"
        self.add(*cells, *kind, *changed, short_name(message.id), _cut(words, is_full=self._is_full))


def _write_pending(queued: Conversation, *, is_full: bool) -> None:
    if not queued.pending:
        return
    write()
    write(f"{quantity(len(queued.pending), 'message')} not finished, oldest first:")
    columns, numbers = ("status", "retries", "age"), ("retries", "age")
    table = _MessageTable(queued.pending, *columns, numbers=numbers, is_full=is_full)
    for message in queued.pending:
        waited = age(queued.now_ms - message.added_at) if message.added_at else ""
        table.add_message(message, message.status, str(message.retry_count), waited)
    table.flush()


def _write_finished(queued: Conversation, finished: list[QueueMessage], *, is_full: bool) -> None:
    if not finished:
        return
    write()
    all_of_them = quantity(len(queued.completed), "finished message")
    is_all = len(finished) == len(queued.completed)
    write(f"{all_of_them}:" if is_all else f"the last {len(finished)} of {all_of_them}:")
    table = _MessageTable(finished, "finished", "took", numbers=("took",), is_full=is_full)
    for message in finished:
        completed_at = message.completed_at or 0
        table.add_message(message, moment(completed_at), age(completed_at - message.added_at))
    table.flush()


def _write_buffer(buffer: Buffer[StoredMessage], now_ms: int, *, is_full: bool) -> None:
    messages = quantity(len(buffer.messages), "message")
    mark = "marked as processed (a message that came while the AI was answering is lost)"
    write()
    write(f"{messages} in the legacy buffer, {mark if buffer.processed else 'not answered yet'}:")
    table = _MessageTable(
        [stored.message for stored in buffer.messages], "age", numbers=("age",), is_full=is_full
    )
    for stored in buffer.messages:
        table.add_message(stored.message, age(now_ms - stored.at_ms))
    table.flush()


def _write_memory(memory: Memory, *, is_full: bool) -> None:
    if memory == Memory():
        return
    write()
    write("the AI's memory:")
    facts = [
        ("conversation id", visible(memory.conversation_id) or "none"),
        ("asks for data", "yes" if memory.needs_data_collection else "no"),
        ("requested fields", visible(", ".join(memory.requested_fields)) or "none"),
        *((turn.role, _cut(turn.text, is_full=is_full)) for turn in memory.history),
    ]
    write_fields(facts)


def _kind(message: QueueMessage) -> str:
    return short_name(str(message.message_data.get("kind", "")))


def _cut(words: str, *, is_full: bool) -> str:
    return visible(words) if is_full else shortened(words, TEXT_CELLS_MAX)


def _as_json(overview: _Overview, finished: list[QueueMessage], *, is_full: bool) -> dict[str, Any]:
    def listed(messages: list[QueueMessage]) -> list[dict[str, Any]]:
        left_out = () if is_full else ("messageData",)
        return [
            {key: value for key, value in message.as_dict().items() if key not in left_out}
            for message in messages
        ]

    queued, memory = overview.queued, overview.memory
    return {
        "instanceName": overview.instance,
        "userPhone": overview.phone,
        "otherNames": overview.others,
        "nowMs": queued.now_ms,
        "attentionAtMs": queued.attention_at_ms,
        "damaged": overview.damaged,
        "lease": msgspec.to_builtins(queued.lease),
        "retry": msgspec.to_builtins(queued.retry),
        "awaits": queued.awaits,
        "reply": msgspec.to_builtins(queued.reply),
        "pending": listed(queued.pending),
        "finished": listed(finished),
        "undelivered": msgspec.to_builtins(queued.undelivered),
        "deadLetters": [letter.id for letter in overview.dead],
        "statistics": queued.statistics,
        "oldBuffer": {
            "messages": listed([stored.message for buffer in overview.buffers for stored in buffer.messages]),
            "processed": all(buffer.processed for buffer in overview.buffers),
        }
        if overview.buffers
        else None,
        "memory": {
            "conversationId": memory.conversation_id,
            "needsDataCollection": memory.needs_data_collection,
            "requestedFields": list(memory.requested_fields),
            "history": msgspec.to_builtins(memory.history),
        },
    }
