"""Contents of the page of an audit, before rendering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.analysis.conversations import Conversation, Key, Lane, Message, Outcome, Span
from reports.pages.csv_links import CsvLink, csv_link
from reports.pages.replay.conversation import ConversationView, conversation_view
from reports.results.audit import (
    AuditedConversation,
    AuditedMessage,
    AuditedRecording,
    AuditedReply,
    AuditResult,
    Counts,
)
from reports.text import one_line, short_phone
from reports.words.audit import audit_verdict, figures, minute, second, unknowable_words, writer_words
from reports.words.language import gettext
from reports.words.verdicts import Verdict

_TROUBLE = ("recording", "time", "instance", "user", "id", "trouble")


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Contents of the whole page. A figure is a name, a value, and a CSS class."""

    state: str
    verdict: Verdict
    figures: Sequence[tuple[str, str, str]]
    instances: Sequence[tuple[str, Counts]]
    busiest: Sequence[tuple[str, int, int]]
    unknowable: Sequence[str]
    recordings: Sequence[AuditedRecording]
    worst: Sequence[tuple[str, ConversationView]]
    left_out: int
    zone: str
    downloads: Sequence[tuple[str, CsvLink]]
    command: str


def audit_page_of(result: AuditResult) -> AuditPage:
    """Make the contents of the page that shows `result`."""
    zone = result["zone"]
    epochs = {recording["name"]: recording["epoch_ms"] for recording in result["recordings"]}
    instances = [(row["instance"], row["counts"]) for row in result["instances"]]
    return AuditPage(
        state="ok" if result["ok"] else "bad",
        verdict=audit_verdict(result),
        figures=list(figures(result["total"], result["within_ms"], result["unknowable"])),
        instances=[*instances, (gettext("all"), result["total"])] if len(instances) > 1 else instances,
        busiest=[
            (minute(row["at_ms"], zone), row["messages"], row["unanswered"]) for row in result["busiest"]
        ],
        unknowable=unknowable_words(result),
        recordings=result["recordings"],
        worst=[
            (
                minute(epochs[item["recording"]] + item["messages"][0]["at_ms"], zone),
                conversation_view(f"c{number}", _conversation(number, item)),
            )
            for number, item in enumerate(result["worst"], 1)
        ],
        left_out=result["conversations_troubled"] - len(result["worst"]),
        zone=zone,
        downloads=audit_downloads(result),
        command=result["command"],
    )


def audit_downloads(result: AuditResult) -> list[tuple[str, CsvLink]]:
    """Make the files: figures by instance, and the messages with which something went wrong."""
    names = [name for name, value in result["total"].items() if isinstance(value, int)]
    figures_by_instance = [
        [one_line(row["instance"]), *(row["counts"][name] for name in names)]  # type: ignore[literal-required]
        for row in result["instances"]
    ]
    return [
        (
            gettext("Figures by instance"),
            csv_link("instances.csv", ["instance", *names], figures_by_instance),
        ),
        (gettext("What went wrong"), csv_link("trouble.csv", _TROUBLE, _trouble_rows(result))),
    ]


def _trouble_rows(result: AuditResult) -> list[list[object]]:
    epochs = {recording["name"]: recording["epoch_ms"] for recording in result["recordings"]}
    return [
        [
            item["recording"],
            second(epochs[item["recording"]] + message["at_ms"], result["zone"]),
            one_line(item["instance"]),
            short_phone(item["phone"]),
            one_line(message["id"]),
            " ".join(_trouble(message)),
        ]
        for item in result["worst"]
        for message in item["messages"]
        if _trouble(message)
    ]


def _trouble(message: AuditedMessage) -> list[str]:
    """Return codes for everything that went wrong with a message."""
    faults = {
        "unanswered": message["state"] == "unanswered",
        "twice": message["twice"],
        "order": message["order"],
        "too_soon": message["too_soon"],
    }
    return [name for name, is_so in faults.items() if is_so]


def _conversation(number: int, item: AuditedConversation) -> Conversation:
    """Return a conversation with one lane, on which its replies are drawn as batches."""
    start_ms = item["messages"][0]["at_ms"]
    messages = [
        Message(
            number=message_number,
            id=message["id"],
            at_ms=message["at_ms"] - start_ms,
            kind=message["kind"],
            text=message["text"],
        )
        for message_number, message in enumerate(item["messages"], 1)
    ]
    by_id = {message.id: message.number for message in messages}
    outcomes = {
        message.number: _outcome(audited, item["replies"])
        for message, audited in zip(messages, item["messages"], strict=True)
    }
    lane = Lane(gettext("what happened"), by_id, outcomes, list(_spans(item, start_ms)))
    return Conversation(number, Key(item["instance"], item["phone"]), messages, [lane])


def _outcome(message: AuditedMessage, replies: Sequence[AuditedReply]) -> Outcome:
    if message["state"] == "unanswered":
        return Outcome("unanswered")
    if message["reply"] is None:
        return Outcome("pending")
    return Outcome(
        "answered",
        latency_ms=replies[message["reply"]]["at_ms"] - message["at_ms"],
        twice=message["twice"],
        out_of_order=message["order"],
        probably_unread=message["too_soon"],
    )


def _spans(item: AuditedConversation, start_ms: int) -> list[Span]:
    """Return each reply as a batch that was handed over and answered at the same moment, since only that is known."""
    numbers: dict[int, list[int]] = {}
    for number, message in enumerate(item["messages"], 1):
        if message["reply"] is not None:
            numbers.setdefault(message["reply"], []).append(number)
    return [
        Span(
            numbers=tuple(numbers.get(index, ())),
            from_others=0,
            trigger=writer_words(reply["who"]),
            due_at_ms=None,
            claimed_at_ms=reply["at_ms"] - start_ms,
            replied_at_ms=reply["at_ms"] - start_ms,
        )
        for index, reply in enumerate(item["replies"])
    ]
