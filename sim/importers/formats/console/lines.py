"""Lines of a log without the prefixes of Docker, pm2, Kubernetes and others: names, times, colours."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import NamedTuple

from sim.importers.times import Moment, moment_in, moment_of

_COLOURS = re.compile(
    r"(?:\x1b|\\x1b|\\u001b|\\033|\u241b|#033)(?:\[[0-9;?]*[A-Za-z]|\][^\x07\x1b]*(?:\x07|\x1b\\))"
)
_BARE_COLOURS = re.compile(r"\[\d{0,2}(?:;\d{1,2})*m")
"""Colours whose escape character was lost when the log was copied."""
_TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:\s?(?:Z|UTC|[+-]\d\d:?\d\d))?"
_PREFIXES = re.compile(
    r"(?:(?P<name>\d+\|[^|\n]{1,60}?\s*\||[\w.@/-]{1,80}\s+\|)\s?)?"  # pm2: `0|name  | `; Compose: `name-1  | `
    rf"(?:(?P<time>{_TIME})(?::\s|\s(?:stdout|stderr)\s[FP]\s|\s|$))?"
    r"(?:(?:app|runner)\[\w+\]\s\w+\s\[\w+\]\s?)?"
)
_SYSLOG = re.compile(r"[A-Z][a-z]{2}\s[ \d]\d\s\d\d:\d\d:\d\d\s(?P<name>\S+\s[^:\[\n]{1,60})(?:\[\d+\])?:\s")
_HEADER = re.compile(
    r"\[Evolution API\]\s+(?:\[(?P<instance>[^\]\n]*)\]\s+)?(?:v?\d[\w.-]*\s+)?(?:\d+\s+)?-\s+"
    r"(?P<time>[A-Z][a-z]{2} [A-Z][a-z]{2} \d{1,2} \d{4} \d\d:\d\d:\d\d)\s+(?P<level>[A-Z]+)\s*"
    r"(?:\[(?P<context>[^\]\n]*)\]\s*)?(?:\[(?P<type>string|object|number|undefined|boolean)\] ?)?(?P<rest>.*)"
)

_NAMES_OF_LINES = ("log", "line", "message", "msg", "m")
_NAMES_OF_TIMES = ("time", "timestamp", "ts", "@timestamp", "date")
_NAMES_OF_WEBHOOKS = ("event", "key", "entry", "data", "body", "payload")


class LogLine(NamedTuple):
    """Line of a log."""

    stream: str
    """Name of the process that wrote the line, if several write into one log."""
    logged: Moment | None
    text: str
    """Text without prefixes; several lines, with line breaks, if the tool keeps several in one object."""


class LogHeader(NamedTuple):
    """Beginning of a log record of the Evolution API."""

    instance: str
    logged: Moment | None
    rest: str


def log_line(line: str) -> LogLine:
    """Return a line without its prefixes."""
    line = line.rstrip("\r\n")
    if line.startswith('{"') and (wrapped := _wrapped(line)):
        return wrapped
    plain = _plain(line)
    if match := _SYSLOG.match(plain):
        return LogLine(match["name"], None, plain[match.end() :])
    match = _PREFIXES.match(plain)
    assert match
    logged = moment_in(match["time"]) if match["time"] else None
    return LogLine((match["name"] or "").strip(), logged, plain[match.end() :])


def _wrapped(line: str) -> LogLine | None:
    """Read a line that a tool stores in an object: Docker in its files, pm2 with --json, Loki, Dozzle."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or any(name in value for name in _NAMES_OF_WEBHOOKS):
        return None
    written = next((value[name] for name in _NAMES_OF_LINES if isinstance(value.get(name), str)), None)
    time = next((value[name] for name in _NAMES_OF_TIMES if name in value), None)
    if written is None or (time is None and "log" not in value):
        return None
    moment = moment_in(time) if isinstance(time, str) else moment_of(time)
    return LogLine(str(value.get("app_name", "")), moment, _plain(written).rstrip("\r\n"))


def log_header(text: str) -> LogHeader | None:
    """Read the beginning of a log record of the Evolution API; returns None for any other line."""
    if "Evolution API]" not in text:
        return None
    match = _HEADER.search(text) or _HEADER.search(_BARE_COLOURS.sub("", text))
    if match is None:
        return None
    try:
        written = datetime.strptime(f"{match['time']} +0000", "%a %b %d %Y %H:%M:%S %z")
    except ValueError:
        return LogHeader(match["instance"] or "", None, match["rest"])
    logged = Moment(round(written.timestamp()) * 1000, has_zone=False, is_whole_second=True)
    return LogHeader(match["instance"] or "", logged, match["rest"])


def _plain(line: str) -> str:
    return _COLOURS.sub("", line) if "\x1b" in line or "\\" in line or "#033" in line else line
