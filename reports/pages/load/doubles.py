"""Tables of the messages that were sent more than once, each send with its sender."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.results.load import Double, LoadResult, Send
from reports.text import cut, one_line
from reports.words.language import gettext
from reports.words.numbers import EN_DASH, seconds

NAME_LENGTH_MAX = 80
DOUBLES_MAX = 50
SENDS_OF_DOUBLE_MAX = 5


@dataclass(frozen=True, slots=True)
class SendRow:
    """Send of a message. `died` is when its sender died; `is_hung_up` is true if it hung up before the answer."""

    id: str
    sent: str
    answered: str
    caller: str
    is_hung_up: bool
    died: str


@dataclass(frozen=True, slots=True)
class DoubleTable:
    """Sends of the messages that were sent twice for one reason. The table shows `shown` of `number` messages."""

    heading: str
    shown: int
    number: int
    sends: Sequence[SendRow]


def double_tables(result: LoadResult) -> list[DoubleTable]:
    """Return a table for each reason for which messages were sent twice."""
    ledger = result["ledger"]
    reasons = (
        (False, gettext("Messages that were answered twice"), ledger["duplicates"]),
        (True, gettext("Messages that were sent twice: a worker died while sending"), ledger["worker_died"]),
    )
    tables = []
    for worker_died, heading, number in reasons:
        doubles = [double for double in result["doubles"] if double["worker_died"] == worker_died]
        if shown := doubles[:DOUBLES_MAX]:
            sends = [
                _send_row(double, send) for double in shown for send in double["sends"][:SENDS_OF_DOUBLE_MAX]
            ]
            tables.append(DoubleTable(heading, len(shown), max(number, len(shown)), sends))
    return tables


def _send_row(double: Double, send: Send) -> SendRow:
    return SendRow(
        id=cut(one_line(double["id"]), NAME_LENGTH_MAX),
        sent=_moment(send["at_s"]),
        answered=_moment(send["answered_s"]),
        caller=cut(one_line(send["caller"]), NAME_LENGTH_MAX) or EN_DASH,
        is_hung_up=send["is_caller_gone"],
        died=EN_DASH if send["died_s"] is None else _moment(send["died_s"]),
    )


def _moment(at_s: float) -> str:
    """Write a moment with two decimals, which distinguish sends and deaths in the same second."""
    return seconds(f"{at_s:,.2f}")
