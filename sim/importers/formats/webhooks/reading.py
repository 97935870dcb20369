"""Reading of one body: its messages, edits, replies and presence, with their times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, cast, get_args

from queue_core.channels.base import Inbound, InvalidWebhookError
from queue_core.message import QueueMessage
from queue_core.recording.format import (
    Delete,
    Edit,
    MessageEvent,
    Precision,
    Presence,
    PresenceState,
    Reply,
    Who,
)
from sim.importers.base import Context, ImportedEvent, Omission
from sim.importers.formats.webhooks.bodies import Body
from sim.importers.formats.webhooks.providers import (
    ProviderName,
    has_own_messages,
    is_own,
    own_messages,
    parse,
    presences,
    provider_of,
    statuses,
)
from sim.importers.times import Moment, ZoneFinder, moment_of

NO_INSTANCE = "bot"
"""Instance of messages whose webhook was logged without its envelope."""
LOGGED_EARLY_MS = 300_000
"""Largest error of a log's clock: a time in the log that is this much before the sending is not the arrival."""
SAME_ARRIVAL_MS = 3_000
"""Largest distance at which a log's time and that of the webhook are of one arrival. A repetition comes later."""
_STATES = get_args(PresenceState)


class BodyReader:
    """Reader of the bodies of one file."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._log_zone = ZoneFinder(context, "The time before each line")
        self._body_zone = ZoneFinder(context, "date_time")

    def read(self, logged_body: Body) -> Iterator[ImportedEvent | Omission]:
        """Yield the events in a body, and an Omission for each part that is left out."""
        body, place = logged_body.body, logged_body.place
        provider = provider_of(body)
        if not (body.get("instance") or provider != "evolution"):
            body = {**body, "instance": self._context.instance or NO_INSTANCE}
        elif provider == "evolution-go" and not (body.get("instanceName") or body.get("instanceId")):
            body = {**body, "instanceName": self._context.instance or NO_INSTANCE}
        try:
            if is_own(provider, body):
                yield from self._own(provider, body, logged_body)
                return
            inbound = parse(provider, body)
        except InvalidWebhookError:
            yield Omission("a webhook that the bot would refuse", place)
            return
        for message in inbound.messages:
            yield from self._message(message, logged_body)
        if inbound.unreadable:
            yield Omission("a message that cannot be read", place, len(inbound.unreadable))
        if inbound.skipped:
            yield from self._skipped(provider, body, Counter(inbound.skipped), logged_body)

    def _message(self, message: QueueMessage, logged_body: Body) -> Iterator[ImportedEvent | Omission]:
        at, precision = self._arrival(logged_body, message.timestamp)
        if at is None:
            yield Omission("a message without a time", logged_body.place)
            return
        instance, phone, data = message.instance_name, message.user_phone, message.message_data
        yield ImportedEvent(
            MessageEvent(
                at,
                True,
                instance,
                phone,
                message.id,
                message.message,
                data["kind"],
                message.timestamp or None,
            ),
            logged_body.place,
            precision,
        )
        if change := data.get("change"):
            target = change["id"]
            if change["what"] == "deletion" and target:
                event = Delete(at=at, instance=instance, phone=phone, id=target, by=message.id)
                yield ImportedEvent(event, logged_body.place, precision)
            elif target:
                edit = Edit(
                    at=at, instance=instance, phone=phone, id=target, by=message.id, text=message.message
                )
                yield ImportedEvent(edit, logged_body.place, precision)

    def _skipped(
        self, provider: ProviderName, body: Mapping[str, Any], skipped: Counter[str], logged_body: Body
    ) -> Iterator[ImportedEvent | Omission]:
        """Yield replies and presence, which the bot only counts, and count the rest as the bot does."""
        if has_own_messages(provider, body, skipped):
            for inbound, who in own_messages(provider, body):
                yield from self._replies_in(inbound, who, logged_body)
                skipped["own" if skipped["own"] else "event"] -= len(inbound.messages)
        if provider == "cloud" and skipped["receipt"]:
            for status in statuses(body):
                skipped["receipt"] -= 1
                yield self._reply(
                    logged_body, status.at_ms, (status.instance, status.phone, status.id, ""), "text", ""
                )
        if skipped["event"]:
            for instance, phone, state in presences(provider, body):
                at, precision = self._arrival(logged_body, 0)
                if state in _STATES and at is not None:
                    skipped["event"] = 0
                    event = Presence(
                        at=at, instance=instance, phone=phone, state=cast("PresenceState", state)
                    )
                    yield ImportedEvent(event, logged_body.place, precision)
        for name, count in skipped.items():
            if count > 0:
                yield Omission(f"not a message of a user: {name}", logged_body.place, count)

    def _own(
        self, provider: ProviderName, body: Mapping[str, Any], logged_body: Body
    ) -> Iterator[ImportedEvent | Omission]:
        """Yield the reply in a body that has nothing else."""
        for inbound, who in own_messages(provider, body):
            yield from self._replies_in(inbound, who, logged_body)
            for name, count in inbound.skipped.items():
                yield Omission(f"not a message of a user: {name}", logged_body.place, count)

    def _replies_in(
        self, inbound: Inbound, who: Who, logged_body: Body
    ) -> Iterator[ImportedEvent | Omission]:
        for message in inbound.messages:
            data = message.message_data
            if "change" in data:
                yield Omission("a change of a reply", logged_body.place)
                continue
            reply = (message.instance_name, message.user_phone, message.id, message.message)
            yield self._reply(logged_body, message.timestamp, reply, data["kind"], who)

    def _reply(
        self, logged_body: Body, provider_ms: int, reply: tuple[str, str, str, str], kind: str, who: Who
    ) -> ImportedEvent | Omission:
        """Return a reply, or an omission if it has no time."""
        instance, phone, message_id, words = reply
        at, precision = self._arrival(logged_body, provider_ms)
        if at is None:
            return Omission("a reply without a time", logged_body.place)
        event = Reply(at=at, instance=instance, phone=phone, who=who, id=message_id, text=words, kind=kind)
        return ImportedEvent(event, logged_body.place, precision)

    def _arrival(self, logged_body: Body, provider_ms: int) -> tuple[int | None, Precision]:
        """Return the arrival time of a message: from the log, else from the webhook, else the provider's time.

        The webhook's time is taken in place of the log's if it is finer and of the same arrival.
        """
        logged = logged_body.logged
        if logged is not None and logged.has_zone and provider_ms - logged.ms > LOGGED_EARLY_MS:
            self._context.note(
                "Some lines were logged minutes or hours before their messages were sent: the log's clock was wrong, "
                "so their times are those of the webhook."
            )
            logged = None
        if logged is None:
            in_body = _time_in(logged_body.body)
            if in_body is not None:
                return _at(in_body, self._body_zone, provider_ms)
            return (provider_ms or None), "ms" if provider_ms % 1000 else "s"
        arrival = _at(logged, self._log_zone, provider_ms)
        if logged.is_whole_second:
            in_body = _time_in(logged_body.body)
            if in_body is not None and not in_body.is_whole_second:
                finer = _at(in_body, self._body_zone, provider_ms)
                if abs(finer[0] - arrival[0]) <= SAME_ARRIVAL_MS:
                    return finer
        return arrival


def _at(moment: Moment, zone: ZoneFinder, provider_ms: int) -> tuple[int, Precision]:
    at = moment.ms if moment.has_zone else zone.unix_ms(moment.ms, provider_ms)
    return at, "s" if moment.is_whole_second else "ms"


def _time_in(body: Mapping[str, Any]) -> Moment | None:
    """Return the time in the envelope; WAHA writes milliseconds, Evolution the server's local time with a false Z."""
    if isinstance(written := body.get("date_time"), str):
        moment = moment_of(written)
        if moment is not None and (written.endswith("Z") or not moment.has_zone):
            moment.has_zone = False
        return moment
    return moment_of(body.get("timestamp")) if "session" in body else None
