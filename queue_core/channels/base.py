"""Messaging provider as the rest of the code sees it: settings, webhooks that become messages, and a way to send.

`message_data` of a queued message has one layout for all providers; docs/messages.md lists it:

    {"channel": "evolution" | "cloud" | …, `Provider.name`: which channel sends the reply
     "kind": "text" | "image" | "audio" | …,
     "name": "…",                          the user's own profile name, where the provider gives one
     "reply_to": "…",                      the address to send to, where it is not `user_phone`
     "addresses": {"phone": "…", …},       every address of this user that the webhook names
     "quoted": {"id": "…", "text": "…"},   the message to which this one is an answer, if any
     "change": {"what": "edit" | "deletion", "id": "…", "text": "…", "kind": "…"},  the earlier message that this one
                                           changes, with the text and kind that it has after an edit
     "media" | "location" | "form" | …,    the structure of the content, by its kind
     "webhook": {…}}                       this message as the provider sent it, without media and secrets
"""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import Any, ClassVar, Protocol, runtime_checkable

import aiohttp
import msgspec

from queue_core.channels.form import Form, Format
from queue_core.channels.phrases import Language
from queue_core.environment import EnvironmentSettings
from queue_core.errors import QueueError, RetryLaterError
from queue_core.message import Batch, QueueMessage


class InvalidWebhookError(QueueError, ValueError):
    """Raised for a post that can never become a message. The HTTP status is 400."""


class SkippedError(Exception):
    """Raised within a parser for anything but a user's message. The first argument is the reason in a word or two."""


class OwnMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Message from the bot's own number, in a webhook: a reply of the bot, or a message that a person wrote there."""

    instance_name: str
    message_id: str
    user_phone: str
    """User to whom the message was written, as the webhook names the user."""
    at_ms: int


class OwnMessageError(SkippedError):
    """Raised within a parser for a message of the bot's own number; it is counted as "own"."""

    def __init__(self, message: OwnMessage) -> None:
        super().__init__("own")
        self.message = message


class UnauthorizedError(QueueError):
    """Raised for a request without proof that it comes from the provider. `reason` names the proof in a word or two."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class NumberLimitError(RetryLaterError):
    """Raised by Channel.send when the provider refuses messages of this number for now, since it sent too many."""

    def __init__(self, reason: str, *, after_ms: int | None = None) -> None:
        super().__init__(reason, after_ms=after_ms, blames="limit")


@dataclass(frozen=True)
class Post:
    """Webhook as it arrived by HTTP."""

    body: bytes
    headers: Mapping[str, str]
    """Headers of the request. Lookups ignore the case of names."""
    path: Mapping[str, str]
    """Variable parts of the path, by their names in `Provider.paths`."""
    decode: Callable[[bytes], Any]
    """Decoder of the body's JSON."""

    @cached_property
    def payload(self) -> Any:
        """JSON of the body, decoded at the first use. Raises what `decode` raises."""
        return self.decode(self.body)


class Unreadable(msgspec.Struct, frozen=True):
    """Message that cannot be read. It is kept as a dead letter, so that a person can look at it."""

    message: QueueMessage
    """Stand-in for the message, with the original in `message_data["webhook"]`."""
    reason: str


class DeliveryFailure(msgspec.Struct, frozen=True, kw_only=True):
    """Report that a reply did not reach the user although the provider had accepted it."""

    instance_name: str
    message_id: str
    """Id that the provider gave to the reply."""
    user_phone: str
    code: str
    """Error code of the provider; "" if it gives none."""
    reason: str
    at_ms: int


class AddressChange(msgspec.Struct, frozen=True, kw_only=True):
    """Report that a user has a new number or id."""

    instance_name: str
    event_id: str
    """Id that the provider gave to the report."""
    names: dict[str, str]
    """Addresses of the user, each with its kind, "phone" or "user_id"; the old addresses come first."""


class Inbound(msgspec.Struct, frozen=True, kw_only=True):
    """Content of one webhook."""

    messages: tuple[QueueMessage, ...] = ()
    """Messages in the order of the webhook."""
    unreadable: tuple[Unreadable, ...] = ()
    """Messages that cannot be read."""
    failures: tuple[DeliveryFailure, ...] = ()
    """Replies that did not reach their user."""
    address_changes: tuple[AddressChange, ...] = ()
    """Users who have a new number or id."""
    own_messages: tuple[OwnMessage, ...] = ()
    """Messages of the bot's own number."""
    skipped: dict[str, int] = {}
    """Number of items that are not messages of users, by reason: "own", "group", "receipt", "event", …"""
    events: dict[str, int] = {}
    """Number of events without messages, by the provider's name of the event."""

    @classmethod
    def of(
        cls,
        items: Iterable[Any],
        read: Callable[[Any], QueueMessage],
        set_aside: Callable[[Any, str], Unreadable],
        skipped: Mapping[str, int] | None = None,
    ) -> Inbound:
        """Read each item with `read`. Counts skipped items by reason; unreadable ones go through `set_aside`.

        An item that cannot be read does not affect the others.
        """
        messages: list[QueueMessage] = []
        unreadable: list[Unreadable] = []
        own_messages: list[OwnMessage] = []
        counts = dict(skipped or {})
        for item in items:
            try:
                messages.append(read(item))
            except SkippedError as reason:
                if isinstance(reason, OwnMessageError):
                    own_messages.append(reason.message)
                counts[str(reason)] = counts.get(str(reason), 0) + 1
            except InvalidWebhookError as error:
                unreadable.append(set_aside(item, str(error)))
            except Exception as error:  # noqa: BLE001 - a fault of the parser affects only this message
                unreadable.append(set_aside(item, f"the parser failed {_where(error)}"))
        return cls(
            messages=tuple(messages),
            unreadable=tuple(unreadable),
            own_messages=tuple(own_messages),
            skipped={reason: count for reason, count in counts.items() if count},
        )

    @classmethod
    def of_event(cls, name: str, skipped: str = "event") -> Inbound:
        """Return the content of a webhook that has an event and no message."""
        return cls(skipped={skipped: 1}, events={name: 1} if skipped == "event" else {})


def _where(error: Exception) -> str:
    """Return type and source line of an error. Its message is left out, since it could quote what a user wrote."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"with {type(error).__name__} in {frame.name}, line {frame.lineno} of {PurePath(frame.filename).name}"
    )


class Channel(Protocol):
    """Channel that sends replies. One object serves a whole process."""

    name: str
    form: Form
    """Form of the channel's replies, unless the settings of the deployment give another one."""
    typing_every_s: float
    """Shortest time in seconds between two calls of `show_typing` for one user's messages; 0 to call it for each."""

    def send(self, batch: Batch, reply: str) -> AsyncGenerator[None, None]:
        """Send a reply to the user, part after part, without the first `batch.parts_sent` parts.

        Yields between two parts, and ends when the provider has accepted the last part. Raises RetryLaterError if the
        part was certainly not sent and may be tried again (NumberLimitError if the number has sent too much),
        GiveUpError if it was not sent and never can be, SendUncertainError if it may have been sent.
        `channels/errors.py` makes these errors, and `channels/sending.py` such a generator.
        """
        ...

    async def show_typing(self, message: QueueMessage) -> None:
        """Show the user "typing…". Never raises, since a failure does no harm."""
        ...


class Provider(EnvironmentSettings, ABC):
    """Messaging provider. Its fields are its settings; in the environment they are NAME_FIELD, as CLOUD_APP_SECRET."""

    name: ClassVar[str]
    """Name in routes, metrics, environment names and `message_data`."""
    paths: ClassVar[tuple[str, ...]]
    """Paths of the provider's webhooks, all below /webhook/; a part in braces, such as {instance}, is variable."""
    enabled_by: ClassVar[str]
    """Name of the field without which the provider cannot send."""
    secured_by: ClassVar[str]
    """Name of the field with the secret that proves where a post comes from."""

    reply_format: Format | None = None
    """REPLY_FORMAT for this provider only; empty: as for all."""

    @classmethod
    def environment_name(cls, field: str) -> str:
        """Return the name of a field in the environment."""
        return f"{cls.name}_{field}".upper()

    @property
    def is_enabled(self) -> bool:
        """True when the provider can send."""
        return bool(getattr(self, self.enabled_by))

    @property
    def messages_per_s_max(self) -> int:
        """Number of messages that a number may send in a second; 0 if the provider sets no limit."""
        return 0

    @property
    def is_secured(self) -> bool:
        """True when posts must prove that they come from the provider."""
        return bool(getattr(self, self.secured_by))

    def faults(self) -> Iterator[str]:
        """Yield a sentence for each contradiction among the settings."""
        yield from ()

    @abstractmethod
    def authenticate(self, post: Post) -> None:
        """Raise UnauthorizedError unless the post proves the secret; also if the settings have no secret."""

    @abstractmethod
    def parse(self, post: Post, *, media_bytes_max: int, language: Language) -> Inbound:
        """Return the content of a post, with placeholders in `language`.

        Raises InvalidWebhookError for a post that is not a webhook of this provider.
        """

    @abstractmethod
    def open_channel(self, session: aiohttp.ClientSession, *, timeout_s: float) -> Channel:
        """Return a channel that sends through `session` and waits at most `timeout_s` for an answer."""


@runtime_checkable
class Handshake(Protocol):
    """Provider that checks a webhook's address by a GET before it posts there."""

    def answer_handshake(self, query: Mapping[str, str]) -> str:
        """Return the plain text to answer with. Raises UnauthorizedError."""
        ...
