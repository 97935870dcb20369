"""Settings of WAHA, the address of its webhooks, and the check of their signature."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator

import aiohttp
from pydantic import SecretStr

from queue_core.channels.authentication import is_secret
from queue_core.channels.base import Inbound, Post, Provider, UnauthorizedError
from queue_core.channels.phrases import Language
from queue_core.channels.waha.channel import WahaChannel
from queue_core.channels.waha.parser import parse_waha
from queue_core.environment import Url, faults_of_secret


class Waha(Provider):
    """WAHA. It signs its posts if it is configured with a key."""

    name = "waha"
    paths = ("/webhook/waha",)
    enabled_by = "url"
    secured_by = "hmac_key"

    url: Url = ""
    """Address of WAHA; empty: not used."""
    api_key: SecretStr = SecretStr("")
    """Key for sending, if WAHA asks for one."""
    hmac_key: SecretStr = SecretStr("")
    """Key with which WAHA signs webhooks, `hmac.key` in their configuration."""

    def faults(self) -> Iterator[str]:
        """See Provider.faults."""
        yield from faults_of_secret("WAHA_HMAC_KEY", self.hmac_key)

    def authenticate(self, post: Post) -> None:
        """See Provider.authenticate. The signature is that of the raw body, so the body is not decoded here."""
        key = self.hmac_key.get_secret_value()
        shown = post.headers.get("X-Webhook-Hmac", "").strip().lower()
        if not key or not is_secret(shown, signature(post.body, key)):
            raise UnauthorizedError("signature", "X-Webhook-Hmac does not match WAHA_HMAC_KEY")

    def parse(self, post: Post, *, media_bytes_max: int, language: Language) -> Inbound:
        """See Provider.parse."""
        return parse_waha(post.payload, media_bytes_max=media_bytes_max, language=language)

    def open_channel(self, session: aiohttp.ClientSession, *, timeout_s: float) -> WahaChannel:
        """See Provider.open_channel."""
        return WahaChannel(session, self.url, self.api_key.get_secret_value(), timeout_s=timeout_s)


def signature(body: bytes, key: str) -> str:
    """Return the correct value of `X-Webhook-Hmac`: the HMAC-SHA512 of the raw body."""
    return hmac.new(key.encode(), body, hashlib.sha512).hexdigest()
