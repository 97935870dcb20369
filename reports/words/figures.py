"""Figures of comparisons in words: their names, and their values in the units that those tell."""

from __future__ import annotations

from reports.text import NARROW
from reports.words.language import gettext
from reports.words.numbers import EN_DASH, MINUS, duration, share, signed


def in_unit(value: float | None, unit: str) -> str:
    """A value with its unit: a time in ms, a share, or a plain number; a dash for none."""
    if value is None:
        return EN_DASH
    if unit == "ms":
        return duration(value)
    sign = MINUS if value < 0 else ""
    return signed(sign, share(abs(value)) if unit == "share" else f"{abs(value):,.6g}")


def unit_of(name: str) -> str:
    """The unit of a figure by its name: those that end in _ms are times."""
    return "ms" if name.endswith("_ms") else ""


def relative(before: float | None, after: float | None) -> str:
    """By how much of what it was a figure changed: `+30 %`; empty where there is nothing to tell."""
    if before is None or after is None or before == after:
        return ""
    if not before:
        return gettext("from 0")
    part = (after - before) / abs(before)
    return signed(
        "+" if part > 0 else MINUS, share(abs(part)) if abs(part) < 1 else f"{100 * abs(part):,.0f}{NARROW}%"
    )


def figure_name(name: str) -> str:
    """A figure's name for people."""
    known = {
        "sent": gettext("messages sent"),
        "answered": gettext("answered"),
        "lost": gettext("lost"),
        "twice": gettext("answered twice"),
        "duplicates": gettext("answered twice"),
        "order": gettext("out of order"),
        "out_of_order": gettext("out of order"),
        "dead": gettext("dead-lettered"),
        "waiting": gettext("still waiting"),
        "ai_calls": gettext("AI calls"),
        "turns": gettext("turns"),
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
    """A quantile of times, or the largest: `dispatch lag, p95`."""
    return gettext(", ").join([words, gettext("max") if quantile == "max" else quantile])
