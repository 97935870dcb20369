"""Counts of conversations and messages, added up page by page."""

from __future__ import annotations

from queue_core.redis.scripts.answers import SurveyAnswer


class Counts:
    """Sums of the counts of all pages."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.conversations = 0
        self.waiting = 0
        self.in_flight = 0
        self.oldest_age_ms: int | None = None
        self.expired_leases = 0
        self.damaged = 0
        """Conversations whose messages or lease cannot be read, among those counted; not scaled up."""

    def add(self, page: SurveyAnswer) -> None:
        """Add the counts of a page."""
        self.now_ms = page.now_ms
        self.conversations += page.conversations
        self.waiting += page.waiting
        self.in_flight += page.in_flight
        self.expired_leases += page.expired_leases
        self.damaged += page.damaged
        if page.oldest_added_ms is not None:
            age_ms = max(0, page.now_ms - page.oldest_added_ms)
            self.oldest_age_ms = max(age_ms, self.oldest_age_ms or 0)

    def estimate(self, total: int) -> None:
        """Scale the counts up to `total` conversations, of which only some were counted."""
        if 0 < self.conversations < total:
            share = self.conversations / total
            self.waiting = round(self.waiting / share)
            self.in_flight = round(self.in_flight / share)
            self.expired_leases = round(self.expired_leases / share)
