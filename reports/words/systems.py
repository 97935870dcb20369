"""Systems under test, each in a sentence."""

from __future__ import annotations

from collections.abc import Mapping

from reports.results.systems import profile_of
from reports.words.language import gettext, marked

_SUMMARIES: Mapping[str, str] = {
    "buffer-v1": marked(
        "One buffer per conversation, no lock, an in-process timer; the incident happened in it."
    ),
    "buffer-v2": marked(
        "buffer-v1 with a lock that it gives up on, a grace window around 8 s, and retried calls."
    ),
    "list-v1": marked("One Redis list per conversation, polled every 3 s, rewritten from what was read."),
    "list-v2": marked("list-v1 that reads again before its first rewrite, at most 10 messages a batch."),
    "queue": marked(
        "The queue of this project: due times and leases in Redis, nothing removed before it is answered."
    ),
}


def system_summary(name: str) -> str:
    """Describe a system in a sentence; empty if it is unknown."""
    if profile := profile_of(name):
        return gettext("The same queue with the rules of the profile %(profile)s.", profile=profile)
    summary = _SUMMARIES.get(name)
    return gettext(summary) if summary else ""
