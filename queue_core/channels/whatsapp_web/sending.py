"""Sending to a user who has several addresses, and showing "typing…"."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from queue_core.channels.errors import Refusal

TYPING_EVERY_S = 5.0
"""Shortest time between two "typing…" calls for one user; WhatsApp shows "typing…" for longer."""


async def send_to_one(addresses: list[str], send: Callable[[str], Awaitable[Refusal | None]]) -> None:
    """Send a part to the first address that works, and move that address to the front for the next part.

    If WhatsApp does not know an address, tries the next one, since this user has just written. Raises the error of the
    last refusal.
    """
    for number, address in enumerate(addresses, 1):
        refusal = await send(address)
        if refusal is None:
            addresses.remove(address)
            addresses.insert(0, address)
            return
        if refusal.meaning.consequence != "now" or number == len(addresses):
            raise refusal.error()
