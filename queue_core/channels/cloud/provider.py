"""Settings of the WhatsApp Cloud API, the address of its webhook, and the check of Meta's signature."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from typing import Annotated

import aiohttp
from pydantic import Field, SecretStr

from queue_core.channels.authentication import is_secret
from queue_core.channels.base import Inbound, Post, Provider, UnauthorizedError
from queue_core.channels.cloud.channel import CloudChannel
from queue_core.channels.cloud.parser import parse_cloud
from queue_core.channels.phrases import Language
from queue_core.environment import Url, faults_of_secret


class Cloud(Provider):
    """WhatsApp Cloud API. Meta signs its posts, and checks a subscription's address by a GET first."""

    name = "cloud"
    paths = ("/webhook/cloud",)
    enabled_by = "access_token"
    secured_by = "app_secret"

    access_token: SecretStr = SecretStr("")
    """Access token of the WhatsApp Cloud API, for sending; empty: not used."""
    app_secret: SecretStr = SecretStr("")
    """App secret with which Meta signs webhooks."""
    verify_token: SecretStr = SecretStr("")
    """Verify token of the webhook subscription."""
    url: Url = "https://graph.facebook.com"
    """Address of the Cloud API."""
    version: Annotated[str, Field(pattern=r"^v\d+\.\d+$")] = "v23.0"
    """Version of the Cloud API."""
    messages_per_s: Annotated[int, Field(ge=0, le=1_000)] = 80
    """Messages that a number may send in a second; 0: no limit on this side."""

    @property
    def messages_per_s_max(self) -> int:
        """See Provider.messages_per_s_max."""
        return self.messages_per_s

    def faults(self) -> Iterator[str]:
        """See Provider.faults."""
        yield from faults_of_secret("CLOUD_APP_SECRET", self.app_secret)
        yield from faults_of_secret("CLOUD_VERIFY_TOKEN", self.verify_token)

    def authenticate(self, post: Post) -> None:
        """See Provider.authenticate. The signature is that of the raw body, so the body is not decoded here."""
        secret = self.app_secret.get_secret_value()
        shown = post.headers.get("X-Hub-Signature-256", "").strip().lower()
        if not secret or not is_secret(shown, signature(post.body, secret)):
            raise UnauthorizedError("signature", "X-Hub-Signature-256 does not match CLOUD_APP_SECRET")

    def parse(self, post: Post, *, media_bytes_max: int, language: Language) -> Inbound:
        """See Provider.parse."""
        return parse_cloud(post.payload, media_bytes_max=media_bytes_max, language=language)

    def answer_handshake(self, query: Mapping[str, str]) -> str:
        """See Handshake. Returns the challenge if the verify token is CLOUD_VERIFY_TOKEN."""
        is_ours = is_secret(query.get("hub.verify_token", ""), self.verify_token.get_secret_value())
        if not is_ours or query.get("hub.mode") != "subscribe":
            raise UnauthorizedError("verify token", "hub.verify_token does not match CLOUD_VERIFY_TOKEN")
        return query.get("hub.challenge", "")

    def open_channel(self, session: aiohttp.ClientSession, *, timeout_s: float) -> CloudChannel:
        """See Provider.open_channel."""
        base_url = f"{self.url}/{self.version}"
        return CloudChannel(session, base_url, self.access_token.get_secret_value(), timeout_s=timeout_s)


def signature(body: bytes, app_secret: str) -> str:
    """Return the correct value of `X-Hub-Signature-256`: the HMAC-SHA256 of the raw body."""
    return "sha256=" + hmac.new(app_secret.encode(), body, hashlib.sha256).hexdigest()
