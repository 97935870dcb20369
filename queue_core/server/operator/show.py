"""`show`: everything that is known of one conversation."""

from __future__ import annotations

import argparse
from typing import Any

import msgspec
from redis.exceptions import RedisError

from queue_core.ai.memory import ConversationMemory, Memory
from queue_core.message import QueueMessage
from queue_core.queue.message_queue import MessageQueue
from queue_core.redis.runner import explain
from queue_core.redis.scripts.loader import text
from queue_core.server.config import ServerSettings
from queue_core.server.operator.arguments import NOT_SO, OK, add_command, count
from queue_core.server.operator.look import redis_now_ms
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

            exit codes: 0 shown; 1 nothing is known of it, or Redis is not available; 2 wrong usage or configuration
            """,
    )
    parser.add_argument(
        "instance",
        metavar="INSTANCE",
        help="name of the Evolution instance, or phone_number_id of the Cloud API",
    )
    parser.add_argument("phone", metavar="PHONE", help="the user's number, digits only, or …@lid")
    parser.add_argument(
        "--finished",
        type=count(0, 100_000),
        default=5,
        metavar="N",
        help="show so many of the last finished messages (default: %(default)s)",
    )
    parser.add_argument("--full", action="store_true", help="do not cut long texts")


class _Lease(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Who holds a conversation. Times in Unix ms."""

    processor_id: str
    token: str
    messages: int
    locked_at_ms: int
    expires_at_ms: int


class _Retry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A conversation whose last attempt failed and that waits for the next."""

    attempts: int
    at_ms: int | None
    last_error: str


class _Reply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A reply that is recorded and whose batch is not finished."""

    text: str
    messages: int
    send_state: str
    recorded_at_ms: int


class _Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, as read in a few steps: a moving conversation may have moved in between."""

    now_ms: int
    pending: list[QueueMessage]
    finished: list[QueueMessage]
    statistics: dict[str, int]
    attention_at_ms: int | None
    lease: _Lease | None
    retry: _Retry | None
    reply: _Reply | None
    memory: Memory

    @property
    def is_known(self) -> bool:
        parts = (self.pending, self.finished, self.statistics, self.lease, self.retry, self.reply)
        return any(parts) or self.attention_at_ms is not None or self.memory != Memory()


async def run_show(args: argparse.Namespace, settings: ServerSettings) -> int:
    """Reads and writes it."""
    async with open_queue(settings) as queue:
        found = await _read(queue, args.instance, args.phone)
    if not found.is_known:
        tell(
            f"nothing is known of {name(args.instance)} {name(args.phone)}: `status` lists who waits; "
            f"finished messages are kept for {age(settings.queue.completed_ttl_s * 1000)}"
        )
        return NOT_SO
    finished = found.finished[-args.finished :] if args.finished else []
    if args.json:
        write_json(_as_json(args, found, finished))
        return OK
    write_fields(_facts(args, found))
    _write_pending(found, is_full=args.full)
    _write_finished(found, finished, is_full=args.full)
    _write_memory(found.memory, is_full=args.full)
    return OK


async def _read(queue: MessageQueue, instance: str, phone: str) -> _Conversation:
    keys = queue.keys.of(instance, phone)
    now_ms = await redis_now_ms(queue)
    pipeline: Any = queue.redis.pipeline(transaction=False)
    pipeline.hgetall(keys.lock)
    pipeline.hgetall(keys.reply)
    pipeline.zscore(queue.keys.partitions[keys.partition].active, keys.conversation)
    try:
        raw_lock, raw_reply, score = await pipeline.execute()
    except (RedisError, OSError) as error:
        raise explain(error) from error
    lock, reply = _texts(raw_lock), _texts(raw_reply)
    attention_at_ms = None if score is None else int(score)
    return _Conversation(
        now_ms=now_ms,
        pending=await queue.pending(instance, phone),
        finished=await queue.completed(instance, phone),
        statistics=await queue.statistics(instance, phone),
        attention_at_ms=attention_at_ms,
        lease=_lease(lock),
        retry=_retry(lock, attention_at_ms),
        reply=_reply(reply),
        memory=await ConversationMemory(queue.redis, queue.keys).load(instance, phone),
    )


def _texts(fields: dict[Any, Any]) -> dict[str, str]:
    return {text(key): text(value) for key, value in fields.items()}


def _lease(lock: dict[str, str]) -> _Lease | None:
    if "token" not in lock:
        return None
    return _Lease(
        processor_id=lock.get("processorId", ""),
        token=lock["token"],
        messages=int(lock.get("size", 0)),
        locked_at_ms=int(lock.get("lockedAt", 0)),
        expires_at_ms=int(lock.get("expiresAt", 0)),
    )


def _retry(lock: dict[str, str], attention_at_ms: int | None) -> _Retry | None:
    if not lock or "token" in lock:
        return None
    tries = [size for size in lock.get("tries", "").split(",") if size]
    return _Retry(attempts=len(tries), at_ms=attention_at_ms, last_error=lock.get("error", ""))


def _reply(reply: dict[str, str]) -> _Reply | None:
    if not reply:
        return None
    return _Reply(
        text=reply.get("text", ""),
        messages=int(reply.get("size", 0)),
        send_state=reply.get("state", ""),
        recorded_at_ms=int(reply.get("recordedAt", 0)),
    )


def _facts(args: argparse.Namespace, found: _Conversation) -> list[tuple[str, str]]:
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


def _state(found: _Conversation) -> str:
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


def _write_pending(found: _Conversation, *, is_full: bool) -> None:
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


def _write_finished(found: _Conversation, finished: list[QueueMessage], *, is_full: bool) -> None:
    if not finished:
        return
    write()
    write(f"the last {len(finished)} of {quantity(len(found.finished), 'finished message')}:")
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


def _as_json(args: argparse.Namespace, found: _Conversation, finished: list[QueueMessage]) -> dict[str, Any]:
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
            "conversationId": found.memory.conversation_id,
            "needsDataCollection": found.memory.needs_data_collection,
            "requestedFields": list(found.memory.requested_fields),
            "history": msgspec.to_builtins(found.memory.history),
        },
    }
