"""Systems under test, each in a sentence."""

from __future__ import annotations

from collections.abc import Mapping

from reports.results.systems import profile_of
from reports.words.language import gettext, marked

_SUMMARIES: Mapping[str, str] = {
    "buffer-v1": marked(
        "One buffer per conversation, no lock, an in-process timer; logs/incident.jsonl comes from it."
    ),
    "buffer-v2": marked(
        "buffer-v1 with retries, a second look at buffers about 8 s old, and a lock that it ignores after a few tries."
    ),
    "list-v1": marked("One Redis list per conversation, polled every 3 s, rewritten from what was read."),
    "list-v2": marked("list-v1 that reads again before its first rewrite, at most 10 messages a batch."),
    "queue": marked(
        "The queue of this project: due times and leases in Redis, nothing removed before it is answered."
    ),
    "no-buffer": marked("Each message is answered by itself, at once: the first flow of every tutorial."),
    "n8n-wait": marked(
        "Push into Redis, wait, read, and answer if no newer message came: most n8n templates (n8n.io/workflows/2346)."
    ),
    "n8n-debounce-node": marked(
        "A window of silence in Redis, with limits that end it early: the n8n node n8n-nodes-message-debounce 0.1.31."
    ),
    "evolution-debounce": marked(
        "One timer and text per user in memory: debounceTime of the bots inside the Evolution API 2.3.6."
    ),
    "chat-sdk": marked(
        "A lock of 30 s and a queue of 10 messages: Vercel's Chat SDK 4.38.1 with the strategy queue and Redis."
    ),
    "chat-sdk-debounce": marked(
        "Vercel's Chat SDK with the strategy debounce: waits 1.5 s, and does not look at the queue after the answer."
    ),
    "bull-delay": marked(
        "One delayed BullMQ job per user, whose data each message rewrites: usual Node.js code on BullMQ 6.2.0."
    ),
}


def system_summary(name: str) -> str:
    """Describe a system in a sentence; empty if it is unknown."""
    if profile := profile_of(name):
        return gettext("The same queue with the rules of the profile %(profile)s.", profile=profile)
    summary = _SUMMARIES.get(name)
    return gettext(summary) if summary else ""
