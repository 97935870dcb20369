"""States in which one release leaves conversations, and the turns that another one takes then."""

from __future__ import annotations

from typing import Any

from tests.queue_core.upgrades.releases import Remote

WINDOW_MS = 8_000


def _turn(
    phone: str, messages: str = "a", attempt: int = 2, *, replied: str | None = None, parts: int = 0
) -> dict[str, Any]:
    return {
        "ids": [f"{phone}.{message}" for message in messages],
        "attempt": attempt,
        "reply": f"re {phone}.a" if replied else None,
        "state": replied or "not sent",
        "parts": parts,
    }


TURNS: dict[str, dict[str, Any]] = {
    turn["ids"][0].partition(".")[0]: turn
    for turn in (
        _turn("waiting", attempt=1),
        _turn("handed-back", attempt=1),
        _turn("in-flight"),
        _turn("in-backoff"),
        _turn("joined", "ab"),
        _turn("superseded", "ab", attempt=1),
        _turn("answered-elsewhere", "b"),
        _turn("reply-not-sent", replied="not sent"),
        _turn("reply-unsure", replied="unsure"),
        _turn("reply-in-parts", replied="unsure", parts=1),
        _turn("reply-sent", replied="sent"),
    )
}
"""The next turn of each user, who is named after the state."""
DEAD = {"dead.a", "late.a"}
"""Messages that are dead letters then."""


def answer_one(before: Remote, now_ms: int) -> None:
    """Have a message answered by the release before, so that Redis is not new when this release comes."""
    before("enqueue", now_ms - WINDOW_MS, message_id="before.a", phone="before")
    (turn,) = before("claim", now_ms)
    before("complete", now_ms, token=turn["token"])


def fill(first: Remote, began_ms: int) -> int:
    """Bring a conversation into each state, as if the process then died. Return the time at the end."""

    def enqueue(phone: str, message: str, at_ms: int) -> None:
        first("enqueue", at_ms, message_id=f"{phone}.{message}", phone=phone)

    for phone in (*TURNS, "finished", "dead"):
        if phone != "waiting":
            enqueue(phone, "a", began_ms)
    enqueue("answered-elsewhere", "b", began_ms)
    now_ms = began_ms + WINDOW_MS
    tokens = {turn["phone"]: turn["token"] for turn in first("claim", now_ms)}
    enqueue("waiting", "a", now_ms)
    first("release", now_ms, token=tokens["handed-back"])
    for phone in ("joined", "superseded"):
        enqueue(phone, "b", now_ms)
    assert first("record_reply", now_ms, token=tokens["superseded"], text="re a") is False
    withdrawn = first("withdraw", now_ms, message_id="answered-elsewhere.a", phone="answered-elsewhere")
    assert withdrawn == "withdrawn"
    first("fail", now_ms, token=tokens["in-backoff"])
    for phone in ("reply-not-sent", "reply-unsure", "reply-in-parts", "reply-sent", "dead"):
        first("record_reply", now_ms, token=tokens[phone], text=f"re {phone}.a")
    first("fail", now_ms, token=tokens["reply-not-sent"], not_sent=True)
    first("record_sent", now_ms, token=tokens["reply-in-parts"], parts=1)
    first("record_sent", now_ms, token=tokens["reply-sent"])
    first("fail", now_ms, token=tokens["dead"], dead=True)
    first("complete", now_ms, token=tokens["finished"])
    first("enqueue", now_ms, message_id="late.a", phone="late", timestamp=1)
    first("note", now_ms, phone="finished", text="a memory")
    return now_ms
