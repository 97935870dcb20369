"""What a messaging provider is to the rest: webhooks that become messages, and a way to send.

`message_data` of a queued message is laid out the same for every channel:

    {"channel": "evolution" | "cloud",     which Channel sends the reply
     "kind": "text" | "image" | "audio" | …,
     "name": "…",                          the user's own profile name, where the provider gives one
     "reply_to": "…",                      the address to send to, where it is not `user_phone`
     "quoted": {"id": "…", "text": "…"},   the message that this one answers, where it is one
     "webhook": {…}}                       this one message as the provider sent it, media bytes left out
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from queue_core.errors import QueueError
from queue_core.message import Batch, QueueMessage


class InvalidWebhookError(QueueError, ValueError):
    """What was posted can never become a message; says why. For HTTP, 400."""


class SendUncertainError(QueueError):
    """Raised by Channel.send: the reply, or a part of it, may have reached the user."""


class Inbound(msgspec.Struct, frozen=True, kw_only=True):
    """What one webhook brought."""

    messages: tuple[QueueMessage, ...] = ()
    """In the order of the webhook."""
    skipped: dict[str, int] = {}
    """How many things in it were none, by reason: "own", "group", "status", "receipt", "event", …"""


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
