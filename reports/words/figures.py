"""Figures of comparisons in words: their names, and their values with units."""

from __future__ import annotations

from reports.text import NO_BREAK
from reports.words.language import gettext
from reports.words.numbers import EN_DASH, MINUS, duration, share, signed


def in_unit(value: float | None, unit: str) -> str:
    """Write a value with its unit: a time in ms, a share, or a plain number; a dash for none."""
    if value is None:
        return EN_DASH
    if unit == "ms":
        return duration(value)
    sign = MINUS if value < 0 else ""
    return signed(sign, share(abs(value)) if unit == "share" else f"{abs(value):,.6g}")


def setting_words(value: str | None) -> str:
    """Write the value of a setting in a result; None means that the result does not name the setting."""
    return gettext("unknown") if value is None else value or gettext("none")


def unit_of(name: str) -> str:
    """Return the unit of a figure by its name: figures whose names end in _ms are times."""
    return "ms" if name.endswith("_ms") else ""


def relative(before: float | None, after: float | None) -> str:
    """Write the relative change of a figure, such as `+30 %`; empty without a change or a value."""
    if before is None or after is None or before == after:
        return ""
    if not before:
        return gettext("from 0")
    part = (after - before) / abs(before)
    return signed(
        "+" if part > 0 else MINUS,
        share(abs(part)) if abs(part) < 1 else f"{100 * abs(part):,.0f}{NO_BREAK}%",
    )


def count_name(name: str) -> str:
    """Name a count of what went wrong."""
    return {
        "lost": gettext("messages lost"),
        "twice": gettext("messages answered twice"),
        "duplicates": gettext("messages answered twice"),
        "worker_died": gettext("messages sent twice: a worker died while sending"),
        "order": gettext("messages out of order"),
        "out_of_order": gettext("messages out of order"),
        "dead": gettext("messages dead-lettered"),
        "waiting": gettext("messages still waiting"),
        "failed_requests": gettext("failed requests"),
    }[name]


def figure_name(name: str) -> str:
    """Name a figure, with its quantile if it has one."""
    known = {
        "sent": gettext("messages sent"),
        "answered": gettext("answered"),
        "lost": gettext("lost"),
        "twice": gettext("answered twice"),
        "duplicates": gettext("answered twice"),
        "worker_died": gettext("sent twice: a worker died while sending"),
        "order": gettext("out of order"),
        "out_of_order": gettext("out of order"),
        "dead": gettext("dead-lettered"),
        "waiting": gettext("still waiting"),
        "failed_requests": gettext("failed requests"),
        "ai_calls": gettext("AI calls"),
        "turns": gettext("turns"),
        "superseded": gettext("answers dropped for a newer message"),
        "superseded_ai_ms": gettext("AI time of dropped answers"),
        "lag_max_ms": gettext("dispatch lag, max"),
        "wait": gettext("message to reply"),
        "reply": gettext("last message to reply"),
        "reply_from_first": gettext("first message to reply"),
        "acknowledgement": gettext("acknowledgement"),
        "dispatch_lag": gettext("dispatch lag"),
    }
    if name in known:
        return known[name]
    stem, _, quantile = name.removesuffix("_ms").rpartition("_")
    return quantile_of(known.get(stem, stem), quantile) if stem else name


def quantile_of(words: str, quantile: str) -> str:
    """Name a quantile or the maximum of times: `dispatch lag, p95`."""
    return gettext(", ").join([words, gettext("max") if quantile == "max" else quantile])
