"""A messaging provider as the rest sees it: settings, webhooks that become messages, and a way to send.

`message_data` of a queued message is laid out the same for every provider:

    {"channel": "evolution" | "cloud" | …, `Provider.name`: which channel sends the reply
     "kind": "text" | "image" | "audio" | …,
     "name": "…",                          the user's own profile name, where the provider gives one
     "reply_to": "…",                      the address to send to, where it is not `user_phone`
     "quoted": {"id": "…", "text": "…"},   the message that this one answers, where it is one
     "webhook": {…}}                       this one message as the provider sent it, media bytes left out
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol, runtime_checkable

import aiohttp
import msgspec

from queue_core.environment import EnvironmentSettings
from queue_core.errors import QueueError
from queue_core.message import Batch, QueueMessage


class InvalidWebhookError(QueueError, ValueError):
    """Raised for a post that can never become a message; says why. For HTTP, 400."""


class SkippedError(Exception):
    """Raised within a parser for what is no message of a user; the first argument says why, in a word or two."""


class UnauthorizedError(QueueError):
    """Raised for a request that does not come from the provider. `reason` names the missing proof in a word or two."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class SendUncertainError(QueueError):
    """Raised by Channel.send: the reply, or a part of it, may have reached the user."""


@dataclass(frozen=True)
class Post:
    """A webhook as it came by HTTP."""

    body: bytes
    headers: Mapping[str, str]
    """By names in any case."""
    path: Mapping[str, str]
    """The variable parts of the path, by their names in `Provider.paths`."""
    decode: Callable[[bytes], Any]
    """Makes JSON of the body."""

    @cached_property
    def payload(self) -> Any:
        """The JSON in the body, decoded when it is first asked for. Raises what `decode` raises."""
        return self.decode(self.body)


class Inbound(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one webhook brought."""

    messages: tuple[QueueMessage, ...] = ()
    """In the order of the webhook."""
    skipped: dict[str, int] = {}
    """How many things in it were no message of a user, by reason: "own", "group", "receipt", "event", …"""


class Channel(Protocol):
    """Sends replies. One object serves a whole process."""

    name: str

    async def send(self, batch: Batch, reply: str) -> None:
        """Brings a reply to the user; returns when the provider has accepted all of it.

        Raises RetryLaterError (certainly not sent, later perhaps), GiveUpError (certainly not sent, and never will
        be) or SendUncertainError.
        """
        ...

    async def show_typing(self, message: QueueMessage) -> None:
        """Lets the user see "typing…". Raises nothing: it does not matter enough."""
        ...


class Provider(EnvironmentSettings, ABC):
    """A messaging provider. Its fields are its settings; the environment calls one NAME_FIELD, as CLOUD_APP_SECRET."""

    name: ClassVar[str]
    """Stands in routes, metrics, environment names and `message_data`."""
    paths: ClassVar[tuple[str, ...]]
    """Paths that it posts to, all below /webhook/; a part in braces, such as {instance}, is variable."""
    enabled_by: ClassVar[str]
    """The field without which it cannot send."""
    secured_by: ClassVar[str]
    """The field that holds the secret by which its posts are recognised."""

    @classmethod
    def environment_name(cls, field: str) -> str:
        """The name by which the environment sets a field."""
        return f"{cls.name}_{field}".upper()

    @property
    def is_enabled(self) -> bool:
        """True when it can send."""
        return bool(getattr(self, self.enabled_by))

    @property
    def is_secured(self) -> bool:
        """True when posts must prove that they come from the provider."""
        return bool(getattr(self, self.secured_by))

    def faults(self) -> Iterator[str]:
        """Yields a sentence for each contradiction among the settings."""
        yield from ()

    @abstractmethod
    def authenticate(self, post: Post) -> None:
        """Raises UnauthorizedError unless the post proves to know the secret; without a secret, always."""

    @abstractmethod
    def parse(self, post: Post, *, media_bytes_max: int) -> Inbound:
        """Returns what the post brought. Raises InvalidWebhookError for what can never be a message."""

    @abstractmethod
    def open_channel(self, session: aiohttp.ClientSession, *, timeout_s: float) -> Channel:
        """Returns a channel that sends by the session, and waits so long for an answer."""


@runtime_checkable
class Handshake(Protocol):
    """A provider that checks an address by a GET before it posts there."""

    def answer_handshake(self, query: Mapping[str, str]) -> str:
        """Returns the plain text to answer with. Raises UnauthorizedError."""
        ...
