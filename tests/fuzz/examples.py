"""Examples to start from: all kinds of webhooks of all providers, and answers of all kinds of models."""

from __future__ import annotations

from typing import Any

from queue_core.ai.reply.families import ROLES
from tests.queue_core.ai.reply import (
    test_citations,
    test_extract,
    test_families,
    test_legitimate,
    test_shapes,
    test_stream,
)
from tests.queue_core.channels.corpus import messages, others


def webhooks() -> list[Any]:
    """Return webhooks with and without a message."""
    return [body for _, body in (*messages(), *others())]


def answers() -> list[str]:
    """Return answers with marks, with JSON, and with neither, and a text around each mark."""
    tables = (test_families.ANSWERS, test_shapes.ANSWERS, test_extract.TEXTS)
    given = [answer for table in tables for answer, _ in table.values()]
    marked = [f"We open {mark} at nine.\n{mark}\nBye." for mark in ROLES]
    plain = [*test_legitimate.ANSWERS.values(), *test_stream.STREAMS.values(), *test_citations.MARKED]
    return [*given, *plain, *marked]
