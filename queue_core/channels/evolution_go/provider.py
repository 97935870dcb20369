"""Settings of Evolution Go, the address of its webhooks, and the check of their secret."""

from __future__ import annotations

from collections.abc import Iterator

import aiohttp
from pydantic import SecretStr

from queue_core.channels.authentication import is_secret
from queue_core.channels.base import Inbound, Post, Provider, UnauthorizedError
from queue_core.channels.evolution_go.channel import EvolutionGoChannel
from queue_core.channels.evolution_go.parser import parse_evolution_go
from queue_core.channels.phrases import Language
from queue_core.channels.values import mapping
from queue_core.environment import Url, faults_of_secret


class EvolutionGo(Provider):
    """Evolution Go. It posts all events to one URL, and cannot be configured to add a header."""

    name = "evolution_go"
    paths = ("/webhook/evolution-go", "/webhook/{secret}/evolution-go")
    enabled_by = "url"
    secured_by = "webhook_secret"

    url: Url = ""
    """Address of Evolution Go; empty: not used."""
    api_key: SecretStr = SecretStr("")
    """Token of the instance, for sending; for several instances NAME=TOKEN,NAME=TOKEN."""
    webhook_secret: SecretStr = SecretStr("")
    """Secret of webhooks: your own, in the path /webhook/SECRET/evolution-go; or the token of the only instance."""

    def faults(self) -> Iterator[str]:
        """See Provider.faults."""
        if self.url and not self.api_key:
            yield "EVOLUTION_GO_API_KEY: must be set, to send through EVOLUTION_GO_URL"
        yield from faults_of_secret("EVOLUTION_GO_WEBHOOK_SECRET", self.webhook_secret)

    def authenticate(self, post: Post) -> None:
        """See Provider.authenticate. The secret stands in the path, or is the token of the instance in the body."""
        shown = (post.path.get("secret", ""), str(mapping(post.payload).get("instanceToken") or ""))
        secret = self.webhook_secret.get_secret_value()
        if not any(is_secret(text, secret) for text in shown):
            raise UnauthorizedError(
                "secret", "neither the path nor the field instanceToken has EVOLUTION_GO_WEBHOOK_SECRET"
            )

    def parse(self, post: Post, *, media_bytes_max: int, language: Language) -> Inbound:
        """See Provider.parse."""
        return parse_evolution_go(post.payload, media_bytes_max=media_bytes_max, language=language)

    def open_channel(self, session: aiohttp.ClientSession, *, timeout_s: float) -> EvolutionGoChannel:
        """See Provider.open_channel."""
        keys = keys_by_instance(self.api_key.get_secret_value())
        return EvolutionGoChannel(session, self.url, keys, timeout_s=timeout_s)


def keys_by_instance(setting: str) -> dict[str, str]:
    """Read `TOKEN`, which serves all instances, or `NAME=TOKEN,NAME=TOKEN`. A token may end in =, as base64 does."""
    keys = {}
    for entry in filter(None, map(str.strip, setting.split(","))):
        name, _, token = entry.rstrip("=").rpartition("=")
        keys[name] = token + "=" * (len(entry) - len(entry.rstrip("=")))
    return keys
