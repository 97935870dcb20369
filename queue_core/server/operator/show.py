"""`show`: everything that is known of one conversation."""

from __future__ import annotations

import argparse
from typing import Any

import msgspec

from queue_core.ai.memory import ConversationMemory, Memory
from queue_core.message import QueueMessage
from queue_core.queue.inspection import Conversation
from queue_core.queue.message_queue import MessageQueue
from queue_core.server.config import ServerSettings
from queue_core.server.operator.arguments import NOT_SO, OK, add_command, count
from queue_core.server.operator.output import (
    TEXT_CELLS_MAX,
    Table,
    age,
    moment,
    name,
    quantity,
    shortened,
    tell,
    write,
    write_fields,
    write_json,
)
from queue_core.server.own_redis import open_queue
from queue_core.server.tags import ConversationTags
from queue_core.text import visible


def add_show(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = add_command(
        commands,
        "show",
        run_show,
        summary="everything about one conversation, texts included",
        description="""
            Shows one conversation: messages that wait or are in work, with attempts and age; who holds it and until
            when; when it is tried again and why the last attempt failed; a reply that is recorded and not yet done;
            the last finished messages; statistics; and what the AI remembers.

            It shows what the user wrote. Control characters are shown as codes, long texts are cut.
            """,
        epilog="""
            examples:
              python -m queue_core show mybot 5511999990000
              python -m queue_core show mybot 5511999990000 --full --json
              python -m queue_core show 4f0c21ab9e

            exit codes: 0 shown; 1 nothing is known of it, or Redis is not available; 2 wrong usage or configuration
            """,
    )
    parser.add_argument(
        "instance",
        metavar="INSTANCE",
        help="name of the Evolution instance, or phone_number_id of the Cloud API; alone, a tag of the log",
    )
    parser.add_argument("phone", metavar="PHONE", nargs="?", help="the user's number, digits only, or …@lid")
    parser.add_argument(
        "--finished",
        type=count(0, 100_000),
        default=5,
        metavar="N",
        help="show so many of the last finished messages (default: %(default)s)",
    )
    parser.add_argument("--full", action="store_true", help="do not cut long texts")


async def run_show(args: argparse.Namespace, settings: ServerSettings) -> int:
    """Read and write it."""
    async with open_queue(settings) as queue:
        if args.phone is None:
            names = await _find(args.instance, queue, settings)
            if len(names) != 1:
                _write_choice(args.instance, names)
                return NOT_SO
            ((args.instance, args.phone),) = names
        found = await queue.conversation(args.instance, args.phone)
        memory = await ConversationMemory(queue.notes).load(args.instance, args.phone)
    if not found.is_known and memory == Memory():
        tell(
            f"nothing is known of {name(args.instance)} {name(args.phone)}: `status` lists who waits; "
            f"finished messages are kept for {age(settings.queue.completed_ttl_s * 1000)}"
        )
        return NOT_SO
    finished = found.completed[-args.finished :] if args.finished else []
    if args.json:
        write_json(_as_json(args, found, finished, memory))
        return OK
    write_fields(_facts(args, found))
    _write_pending(found, is_full=args.full)
    _write_finished(found, finished, is_full=args.full)
    _write_memory(memory, is_full=args.full)
    return OK


async def _find(tag: str, queue: MessageQueue, settings: ServerSettings) -> list[tuple[str, str]]:
    tags = ConversationTags(settings.log_key.get_secret_value().encode())
    await tags.share_key(queue.notes)
    return await tags.find(tag, queue)  # raises if Redis did not answer before either


def _write_choice(tag: str, names: list[tuple[str, str]]) -> None:
    """Write why a tag does not lead to one conversation."""
    if not names:
        tell(
            f"no conversation is known with the tag {name(tag)}: give a tag of the log, or INSTANCE and PHONE; "
            "`status` lists who waits"
        )
    for instance, phone in names:
        tell(f"more than one conversation has this tag; type: show {name(instance)} {name(phone)}")


def _facts(args: argparse.Namespace, found: Conversation) -> list[tuple[str, str]]:
    facts = [("instance", visible(args.instance)), ("phone", visible(args.phone)), ("state", _state(found))]
    if lease := found.lease:
        held = f"{quantity(lease.messages, 'message')}, for {age(found.now_ms - lease.locked_at_ms)}"
        facts.append(("lease", f"{held}, by {visible(lease.processor_id)}, token {visible(lease.token)}"))
    if retry := found.retry:
        facts.append(("last error", _cut(retry.last_error, is_full=args.full) or "none: it was handed back"))
    if reply := found.reply:
        since = age(found.now_ms - reply.recorded_at_ms)
        facts.append(
            ("reply", f"{reply.send_state}, recorded {since} ago: {_cut(reply.text, is_full=args.full)}")
        )
    if statistics := found.statistics:
        total, processed = statistics.get("totalMessages", 0), statistics.get("processedMessages", 0)
        quiet = age(found.now_ms - statistics.get("lastActivity", found.now_ms))
        facts.append(("statistics", f"{total} arrived, {processed} finished, last activity {quiet} ago"))
    return facts


def _state(found: Conversation) -> str:
    now_ms, at_ms = found.now_ms, found.attention_at_ms
    if lease := found.lease:
        left_ms = lease.expires_at_ms - now_ms
        if left_ms > 0:
            return f"in work; the lease is renewed, or runs out in {age(left_ms)}"
        return f"its lease ran out {age(-left_ms)} ago: the next worker takes it over"
    if not found.pending:
        return "nothing waits"
    if at_ms is None:
        return "STRANDED: it has messages and no due time; `python -m queue_core monitor` puts it back"
    when = f"in {age(at_ms - now_ms)}" if at_ms > now_ms else f"overdue by {age(now_ms - at_ms)}"
    if retry := found.retry:
        return f"tried again {when}, after {quantity(retry.attempts, 'attempt')}"
    return f"due {when}"


def _write_pending(found: Conversation, *, is_full: bool) -> None:
    if not found.pending:
        return
    write()
    write(f"{quantity(len(found.pending), 'message')} not finished, oldest first:")
    table = Table("status", "retries", "age", "kind", "id", "text", numbers=("retries", "age"))
    for message in found.pending:
        table.add(
            message.status,
            str(message.retry_count),
            age(found.now_ms - message.added_at) if message.added_at else "",
            _kind(message),
            name(message.id),
            _cut(message.message, is_full=is_full),
        )
    table.flush()


def _write_finished(found: Conversation, finished: list[QueueMessage], *, is_full: bool) -> None:
    if not finished:
        return
    write()
    write(f"the last {len(finished)} of {quantity(len(found.completed), 'finished message')}:")
    table = Table("finished", "took", "kind", "id", "text", numbers=("took",))
    for message in finished:
        completed_at = message.completed_at or 0
        table.add(
            moment(completed_at),
            age(completed_at - message.added_at),
            _kind(message),
            name(message.id),
            _cut(message.message, is_full=is_full),
        )
    table.flush()


def _write_memory(memory: Memory, *, is_full: bool) -> None:
    if memory == Memory():
        return
    write()
    write("what the AI remembers:")
    facts = [
        ("conversation id", visible(memory.conversation_id) or "none"),
        ("wants data", "yes" if memory.needs_data_collection else "no"),
        ("requested fields", visible(", ".join(memory.requested_fields)) or "none"),
        *((turn.role, _cut(turn.text, is_full=is_full)) for turn in memory.history),
    ]
    write_fields(facts)


def _kind(message: QueueMessage) -> str:
    return name(str(message.message_data.get("kind", "")))


def _cut(words: str, *, is_full: bool) -> str:
    return visible(words) if is_full else shortened(words, TEXT_CELLS_MAX)


def _as_json(
    args: argparse.Namespace, found: Conversation, finished: list[QueueMessage], memory: Memory
) -> dict[str, Any]:
    def listed(messages: list[QueueMessage]) -> list[dict[str, Any]]:
        return [
            message.as_dict()
            if args.full
            else {k: v for k, v in message.as_dict().items() if k != "messageData"}
            for message in messages
        ]

    return {
        "instanceName": args.instance,
        "userPhone": args.phone,
        "nowMs": found.now_ms,
        "attentionAtMs": found.attention_at_ms,
        "lease": msgspec.to_builtins(found.lease),
        "retry": msgspec.to_builtins(found.retry),
        "reply": msgspec.to_builtins(found.reply),
        "pending": listed(found.pending),
        "finished": listed(finished),
        "statistics": found.statistics,
        "memory": {
            "conversationId": memory.conversation_id,
            "needsDataCollection": memory.needs_data_collection,
            "requestedFields": list(memory.requested_fields),
            "history": msgspec.to_builtins(memory.history),
        },
    }
