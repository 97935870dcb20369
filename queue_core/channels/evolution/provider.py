"""Settings of the Evolution API, the addresses of its webhooks, and the check of their secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import aiohttp
from pydantic import SecretStr

from queue_core.channels.authentication import bearer_token, is_secret
from queue_core.channels.base import Inbound, Post, Provider, UnauthorizedError
from queue_core.channels.evolution.channel import EvolutionChannel
from queue_core.channels.evolution.parser import parse_evolution
from queue_core.channels.phrases import Language
from queue_core.environment import Url, faults_of_secret

EVENTS = frozenset({"messages-upsert", "messages-edited", "messages-delete", "messages-update"})
"""Events that matter, as they are written in a path."""


class Evolution(Provider):
    """Evolution API. It posts to one URL for all events, or to one for each event."""

    name = "evolution"
    paths = (
        "/webhook/evolution",
        "/webhook/evolution/{first}",
        "/webhook/evolution/{first}/{second}",
        "/webhook/{secret}/evolution",
        "/webhook/{secret}/evolution/{first}",
        "/webhook/{secret}/evolution/{first}/{second}",
    )
    enabled_by = "url"
    secured_by = "webhook_secret"

    url: Url = ""
    """Address of the Evolution API; empty: not used."""
    api_key: SecretStr = SecretStr("")
    """Key for sending."""
    webhook_secret: SecretStr = SecretStr("")
    """Secret of webhooks: in the header or body field `apikey`, or in the path /webhook/SECRET/evolution."""

    def faults(self) -> Iterator[str]:
        """See Provider.faults."""
        if self.url and not self.api_key:
            yield "EVOLUTION_API_KEY: must be set, to send through EVOLUTION_URL"
        yield from faults_of_secret("EVOLUTION_WEBHOOK_SECRET", self.webhook_secret)

    def authenticate(self, post: Post) -> None:
        """See Provider.authenticate. The secret may stand in a header, in the path or in the body."""
        payload = post.payload
        shown = (
            post.headers.get("apikey", ""),
            bearer_token(post.headers),
            post.path.get("secret", ""),
            str(payload.get("apikey") or "") if isinstance(payload, Mapping) else "",
        )
        secret = self.webhook_secret.get_secret_value()
        if not any(is_secret(text, secret) for text in shown):
            raise UnauthorizedError(
                "secret", "neither the path, nor a header, nor the field apikey has EVOLUTION_WEBHOOK_SECRET"
            )

    def parse(self, post: Post, *, media_bytes_max: int, language: Language) -> Inbound:
        """See Provider.parse. Instance and event may stand in the path."""
        instance, event = _instance_and_event(post.path)
        return parse_evolution(
            post.payload, instance=instance, event=event, media_bytes_max=media_bytes_max, language=language
        )

    def open_channel(self, session: aiohttp.ClientSession, *, timeout_s: float) -> EvolutionChannel:
        """See Provider.open_channel."""
        return EvolutionChannel(session, self.url, self.api_key.get_secret_value(), timeout_s=timeout_s)


def _instance_and_event(path: Mapping[str, str]) -> tuple[str, str]:
    """Read /{instance}, /{event} or /{instance}/{event}. With "webhook by events", Evolution appends the event."""
    first, second = path.get("first", ""), path.get("second", "")
    return ("", first) if not second and first.lower() in EVENTS else (first, second)
