"""Reader of the events of a recording other than messages: replies, edits, faults and others."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypedDict, cast, get_args

from queue_core.recording.checks import (
    LineError,
    check_event_fields,
    identifier,
    kind_of,
    length,
    moment,
    quote,
    text_of,
    word,
)
from queue_core.recording.format import (
    IDS_MAX,
    KIND_LENGTH_MAX,
    BatchTaken,
    Delete,
    Edit,
    Fault,
    FaultState,
    GivenUp,
    Human,
    HumanAct,
    OtherEvent,
    Presence,
    PresenceState,
    Reply,
    Who,
)

_KIND = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_COMMON = ("event", "at", "instance", "phone")


class _Common(TypedDict):
    """Fields that every event has."""

    at: int
    is_iso: bool
    instance: str
    phone: str


def read_other(event: Mapping[str, Any], name: str, *, is_free: bool = False) -> OtherEvent | None:
    """Read an event of `OTHER_EVENTS`. Raises LineError if it breaks the format; with `is_free`, returns None then."""
    fields, read = _READERS[name]
    try:
        if not is_free:
            check_event_fields(event, (*_COMMON, *fields))
        return read(event, _common(event, is_shared=name == Fault.name))
    except LineError:
        if is_free:
            return None
        raise


def kind_word(event: Mapping[str, Any]) -> str:
    """Read the field `kind`, such as "text" or "image"."""
    kind = event.get("kind", "text")
    if not isinstance(kind, str):
        raise LineError(f'"kind" must be text, not {kind_of(kind)}')
    if len(kind) > KIND_LENGTH_MAX or not _KIND.fullmatch(kind):
        raise LineError(f'"kind" must be a word such as "text" or "image", not {quote(kind)}')
    return kind


def characters(event: Mapping[str, Any]) -> int | None:
    """Read the field `characters`, the length of a text."""
    return length(event["characters"], "characters") if "characters" in event else None


def _common(event: Mapping[str, Any], *, is_shared: bool) -> _Common:
    for name in ("at", "instance", "phone"):
        if name not in event and not (is_shared and name != "at"):
            raise LineError(f'has no "{name}"')
    at, is_iso = moment(event)
    return _Common(
        at=at,
        is_iso=is_iso,
        instance=_name(event, "instance"),
        phone=_name(event, "phone"),
    )


def _name(event: Mapping[str, Any], field: str) -> str:
    """Read a short name that may be missing."""
    return identifier(event[field], field) if field in event else ""


def _required(event: Mapping[str, Any], field: str) -> Any:
    if field not in event:
        raise LineError(f'has no "{field}"')
    return event[field]


def _ids(event: Mapping[str, Any]) -> tuple[str, ...]:
    value = event.get("ids", [])
    if not isinstance(value, list):
        raise LineError(f'"ids" must be a list of ids, not {kind_of(value)}')
    if len(value) > IDS_MAX:
        raise LineError(f'"ids" has {len(value):,} ids; at most {IDS_MAX:,}')
    return tuple(identifier(message_id, "ids") for message_id in value)


def _reply(event: Mapping[str, Any], common: _Common) -> Reply:
    return Reply(
        **common,
        who=cast("Who", word(event["who"], "who", {"bot", "human"}) if "who" in event else ""),
        id=_name(event, "id"),
        ids=_ids(event),
        text=text_of(event.get("text", ""), "text"),
        characters=characters(event),
        kind=kind_word(event),
    )


def _presence(event: Mapping[str, Any], common: _Common) -> Presence:
    state = word(_required(event, "state"), "state", get_args(PresenceState))
    return Presence(**common, state=cast("PresenceState", state))


def _human(event: Mapping[str, Any], common: _Common) -> Human:
    return Human(**common, does=cast("HumanAct", word(_required(event, "does"), "does", get_args(HumanAct))))


def _edit(event: Mapping[str, Any], common: _Common) -> Edit:
    return Edit(
        **common,
        id=identifier(_required(event, "id"), "id"),
        by=_name(event, "by"),
        text=text_of(event.get("text", ""), "text"),
        characters=characters(event),
    )


def _delete(event: Mapping[str, Any], common: _Common) -> Delete:
    return Delete(**common, id=identifier(_required(event, "id"), "id"), by=_name(event, "by"))


def _batch(event: Mapping[str, Any], common: _Common) -> BatchTaken:
    _required(event, "ids")
    return BatchTaken(
        **common,
        ids=_ids(event),
        trigger=_name(event, "trigger"),
        attempt=length(event["attempt"], "attempt") if "attempt" in event else None,
    )


def _dead_letter(event: Mapping[str, Any], common: _Common) -> GivenUp:
    # Version 1 names a single message by `id`.
    ids = (identifier(event["id"], "id"),) if "id" in event else _ids(event)
    return GivenUp(**common, ids=ids, reason=text_of(event.get("reason", ""), "reason"))


def _fault(event: Mapping[str, Any], common: _Common) -> Fault:
    states = {state for state in get_args(FaultState) if state}
    return Fault(
        **common,
        fault=identifier(_required(event, "fault"), "fault"),
        state=cast("FaultState", word(event["state"], "state", states) if "state" in event else ""),
        reason=text_of(event.get("reason", ""), "reason"),
    )


_READERS: Mapping[str, tuple[tuple[str, ...], Callable[[Mapping[str, Any], _Common], OtherEvent]]] = {
    Reply.name: (("who", "id", "ids", "text", "characters", "kind"), _reply),
    Presence.name: (("state",), _presence),
    Human.name: (("does",), _human),
    Edit.name: (("id", "by", "text", "characters"), _edit),
    Delete.name: (("id", "by"), _delete),
    BatchTaken.name: (("ids", "trigger", "attempt"), _batch),
    GivenUp.name: (("ids", "reason"), _dead_letter),
    Fault.name: (("fault", "state", "reason"), _fault),
}
"""Fields of each event beside the common ones, and its reader."""
