"""Webhooks among printed objects. Cut values are reported, and a webhook that is printed several times counts once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from queue_core.channels.values import at, mapping, text
from queue_core.channels.whatsapp_web.kinds import KINDS
from sim.importers.base import UNKNOWN_TEXT, Context, Omission
from sim.importers.formats.console.inspected import CUT
from sim.importers.formats.console.objects import LogObject
from sim.importers.formats.webhooks.bodies import Body, bodies_in

REMEMBERED_MAX = 20_000
NO_WEBHOOK = "objects of the log that are not messages"
CUT_MESSAGE = "a message that the log cut: [Object] or [Array] replaces it"
PRINTED_AGAIN = "a repetition of a message in another form"
_CUT_NOTE = (
    "The log cut some texts and replaced them by [Object]. Their messages are counted, their lengths are not known. "
    "Print webhooks by JSON.stringify to keep them."
)


class _Printed(NamedTuple):
    form: str
    instance: str
    """Instance that the form names; "" if it names none."""


class PrintedBodies:
    """Webhooks among the objects of one log."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._printed: OrderedDict[tuple[str, str, bool], _Printed] = OrderedDict()

    def among(self, objects: Iterable[LogObject | Omission]) -> Iterator[Body | Omission]:
        """Yield the webhooks among objects, and an Omission for everything else."""
        for printed in objects:
            if isinstance(printed, Omission):
                yield printed
            else:
                yield from self._in_object(printed)

    def _in_object(self, printed: LogObject) -> Iterator[Body | Omission]:
        if _is_cut(printed.value):
            yield Omission(CUT_MESSAGE, printed.place)
            return
        value = self._without_cuts(printed.value)
        bodies = list(bodies_in(value, printed.place, printed.logged))
        if not bodies:
            yield Omission(NO_WEBHOOK, printed.place)
        for logged_body in bodies:
            body = logged_body.body
            instance = printed.instance or text(at(mapping(body.get("data")), "owner"))
            if instance and not (body.get("instance") or body.get("instanceName") or "entry" in body):
                body = {**body, "instance": instance}
            first = self._printed_before(body, mapping(printed.value))
            if first is None:
                yield Body(body, logged_body.place, logged_body.logged)
            elif (
                at(mapping(body.get("data")), "key", "fromMe") is True
            ):  # it may be the one that says who wrote it
                yield Body({**body, "instance": first.instance}, logged_body.place, logged_body.logged)
            else:
                yield Omission(PRINTED_AGAIN, printed.place)

    def _printed_before(self, body: Mapping[str, Any], printed: Mapping[str, Any]) -> _Printed | None:
        """Return the first form of a message that was printed before in another form; None for any other.

        The Evolution API prints the message itself, the webhook that it sends to the instance's address, and the
        webhook that it sends to the global address. A message that is printed twice in one form was delivered twice.
        """
        data = mapping(body.get("data"))
        message_id = text(at(data, "key", "id"))
        if not message_id:
            return None
        form = text(printed.get("local")) or ("webhook" if "event" in printed else "message")
        chat = (text(at(data, "key", "remoteJid")), message_id, at(data, "key", "fromMe") is True)
        first = self._printed.setdefault(chat, _Printed(form, text(body.get("instance"))))
        if len(self._printed) > REMEMBERED_MAX:
            self._printed.popitem(last=False)
        return first if first.form != form else None

    def _without_cuts(self, value: Any) -> Any:
        """Return a value without the printer's marks for cut values; a message keeps its kind."""
        if isinstance(value, list):
            return [self._without_cuts(item) for item in value if item is not CUT]
        if not isinstance(value, dict):
            return value
        value = _without_cut_repetition(value)
        whole = {key: self._without_cuts(item) for key, item in value.items() if item is not CUT}
        for key, item in value.items():
            if item is CUT and (key in KINDS or key in ("message", "conversation") or _is_text(key, value)):
                whole.update(self._stand_in(key, value))
        return whole

    def _stand_in(self, key: str, around: Mapping[str, Any]) -> dict[str, Any]:
        """Return a stand-in for a part of a message that was cut."""
        if key == "message":
            kind = text(around.get("messageType"))
            inner = self._stand_in(kind, {}) if kind in KINDS else self._stand_in("conversation", {})
            return {"message": inner}
        if key == "text":
            self._context.note(_CUT_NOTE)
            return {"text": {"body": UNKNOWN_TEXT}}
        if key in ("conversation", "extendedTextMessage"):
            self._context.note(_CUT_NOTE)
            return {key: UNKNOWN_TEXT if key == "conversation" else {"text": UNKNOWN_TEXT}}
        return {key: {}}


def _is_text(key: str, around: Mapping[str, Any]) -> bool:
    """Return True for the text of a text message of the Cloud API."""
    return key == "text" and around.get("type") == "text"


def _without_cut_repetition(value: dict[str, Any]) -> dict[str, Any]:
    """Return WAHA's payload without the engine's message if that is cut and the payload itself has the content."""
    data = value.get("_data")
    if not isinstance(data, dict) or not (text(value.get("body")) or value.get("hasMedia") is True):
        return value
    message = data.get("message")
    if message is CUT or any(part is CUT and kind in KINDS for kind, part in mapping(message).items()):
        data = {name: item for name, item in data.items() if name != "message"}
    return {**value, "_data": data}


def _is_cut(value: Any) -> bool:
    """Return True for a webhook in which the printer cut the key of a message, or data that contain it."""
    if not isinstance(value, dict):
        return False
    if value.get("key") is CUT and ("message" in value or "messageTimestamp" in value):
        return True
    if value.get("data") is CUT and "event" in value:
        return True
    if any(value.get(key) is CUT for key in ("entry", "changes")):
        return True
    if _is_cut(value.get("data")) or _is_cut(value.get("body")):
        return True
    parts = value.get("entry") or value.get("changes")
    return isinstance(parts, list) and any(part is CUT or _is_cut(part) for part in parts)
