"""Words for the codes and values of a load test, for the page, the console and comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from reports.results.load import (
    BusyMachine,
    LoadLedger,
    LoadResult,
    MissedFault,
    Threshold,
    ThresholdCode,
    Unit,
)
from reports.text import NO_BREAK, cut, one_line
from reports.words.faults import fault_name
from reports.words.language import gettext, marked, ngettext
from reports.words.numbers import duration, share
from reports.words.verdicts import Verdict

MISSED_MAX = 5
"""Limit on faults that a sentence names."""
ERROR_LENGTH_MAX = 200

Latency = Literal["acknowledgement", "reply", "reply_from_first", "dispatch_lag", "ai", "generator_lag"]

LATENCIES: Mapping[Latency, tuple[str, str]] = {
    "acknowledgement": (
        marked("Acknowledgement"),
        marked("from the planned time of a message to its 2xx response"),
    ),
    "reply": (
        marked("Reply, from the last message"),
        marked("from the planned time of a turn's last message to the reply"),
    ),
    "reply_from_first": (
        marked("Reply, from the first message"),
        marked("from the planned time of a turn's first message to the reply"),
    ),
    "dispatch_lag": (marked("Dispatch lag"), marked("from a turn's due time to its claim by a worker")),
    "ai": (
        marked("Claim to reply"),
        marked("from a turn's claim to its reply: mostly the AI's service time"),
    ),
    "generator_lag": (
        marked("Generator lag"),
        marked("how far the load generator was behind its own schedule"),
    ),
}
"""Latencies in display order, each with its name and its meaning, to be translated."""

_THRESHOLDS: Mapping[ThresholdCode, str] = {
    "lost": marked("lost messages"),
    "dead": marked("dead letters"),
    "duplicates": marked("answered twice"),
    "out_of_order": marked("out of order"),
    "failed_requests": marked("failed requests"),
    "unanswered": marked("unanswered messages"),
    "answered": marked("answered"),
    "acknowledgement_p99": marked("acknowledgement p99"),
    "acknowledgement_max": marked("acknowledgement max"),
    "dispatch_lag_p99": marked("dispatch lag p99"),
    "dispatch_lag_max": marked("dispatch lag max"),
    "generator_lag_p99": marked("generator lag p99"),
    "generator_lag_max": marked("generator lag max"),
    "redis_memory": marked("Redis memory"),
    "highest_rate": marked("highest rate"),
}
_SETTINGS = {
    "scenario": marked("scenario"),
    "rate_per_min": marked("rate"),
    "duration_s": marked("duration"),
    "channel": marked("channel"),
    "storm_users": marked("storm users"),
    "recording": marked("recording"),
    "speed": marked("speed"),
    "drain_s": marked("longest drain"),
    "redeliver_s": marked("wait before a redelivery"),
    "redeliver": marked("wait before a redelivery"),
    "seed": marked("seed"),
    "concurrency": marked("turns at a time"),
    "simulated_redis_latency": marked("simulated round trip to Redis"),
    "system": marked("system"),
    "workers": marked("workers"),
    "ai": marked("AI service time"),
    "send": marked("time of a send"),
    "ai_error_share": marked("AI errors"),
    "redis_memory": marked("Redis memory limit"),
    "redis_append_fsync": marked("Redis durability"),
    "redis_servers": marked("Redis servers"),
    "faults": marked("faults"),
    "machine": marked("machine"),
    "cores": marked("cores"),
}


def threshold_name(code: ThresholdCode) -> str:
    """Name a threshold."""
    return gettext(_THRESHOLDS[code])


def limit_of(threshold: Threshold) -> str:
    """Write the limit with its unit."""
    return _figure(threshold["limit"], threshold["unit"])


def measured_of(threshold: Threshold) -> str:
    """Write the measured value with its unit, or say that nothing was measured."""
    if threshold["measured"] is None:
        return gettext("nothing measured")
    return _figure(threshold["measured"], threshold["unit"])


def outcome_of(threshold: Threshold) -> str:
    """Say that a threshold was met or missed; return a dash if nothing was measured."""
    if not threshold["ok"]:
        return gettext("✗ missed")
    return gettext("✓ met") if threshold["measured"] is not None else duration(None)


def missed_names(thresholds: Sequence[Threshold]) -> str:
    """List the names of missed thresholds."""
    return gettext(", ").join(threshold_name(missed["code"]) for missed in thresholds if not missed["ok"])


def ramp_time(threshold: Threshold) -> str:
    """Write the p99 of a ramp's step, marked if it is the maximum; return a dash if nothing was measured."""
    time = duration(threshold["measured"])
    return gettext("%(time)s (max)", time=time) if threshold["code"].endswith("_max") else time


def verdict(result: LoadResult) -> str:
    """Sum a load test up in a few sentences."""
    return " ".join(_sentences(result))


def page_verdict(result: LoadResult) -> Verdict:
    """Sum a load test up as `verdict` does: the first sentence, and the others."""
    first, *rest = _sentences(result)
    return Verdict(first.removesuffix("."), " ".join(rest))


def _sentences(result: LoadResult) -> list[str]:
    sentences = _valid(result) if result["valid"] else [invalid_words(result)]
    if "busy_machine" in result:
        sentences.append(_counts(result["ledger"]))
    if died := result["ledger"]["worker_died"]:
        sentences.append(
            ngettext(
                "Because a worker died while sending, %(num)s message was sent twice.",
                "Because a worker died while sending, %(num)s messages were sent twice.",
                died,
            )
        )
    if unsent := result.get("unsent"):
        sentences.append(
            ngettext(
                "The load was ended early: %(num)s message of the schedule was not sent.",
                "The load was ended early: %(num)s messages of the schedule were not sent.",
                unsent,
            )
        )
    return sentences


def _counts(ledger: LoadLedger) -> str:
    counts = {
        "sent": f"{ledger['sent']:,}",
        "answered": f"{ledger['answered']:,}",
        "lost": _count(ledger["lost"]),
        "twice": _count(ledger["duplicates"]),
        "displaced": _count(ledger["out_of_order"]),
    }
    return gettext(
        "%(sent)s messages acknowledged, %(answered)s answered, %(lost)s lost, %(twice)s answered twice, "
        "%(displaced)s out of order.",
        **counts,
    )


def _missed(result: LoadResult) -> str:
    """List the missed thresholds with the measured values."""
    return gettext(", ").join(
        gettext(
            "%(threshold)s %(measured)s",
            threshold=threshold_name(threshold["code"]),
            measured=measured_of(threshold),
        )
        for threshold in result["thresholds"]
        if not threshold["ok"]
    )


def _valid(result: LoadResult) -> list[str]:
    sentences = [_counts(result["ledger"])]
    unmeasured = unmeasured_words(result["thresholds"])
    if missed := _missed(result):
        sentences.append(gettext("Missed: %(missed)s.", missed=missed))
        if result["faults"]:
            sentences.append(gettext("Targets are those of a load without faults unless you set others."))
    elif unmeasured:
        sentences.append(gettext("Every threshold that could be measured is met."))
    else:
        sentences.append(gettext("Every threshold is met."))
    return [*sentences, *([unmeasured] if unmeasured else [])]


def unmeasured_words(thresholds: Sequence[Threshold]) -> str:
    """Say which thresholds could not be measured; "" if none."""
    names = [threshold_name(each["code"]) for each in thresholds if each["measured"] is None]
    if not names:
        return ""
    return ngettext(
        "%(num)s threshold could not be measured: %(names)s.",
        "%(num)s thresholds could not be measured: %(names)s.",
        len(names),
        names=gettext(", ").join(names),
    )


def invalid_words(result: LoadResult) -> str:
    """Say why a run is invalid: nothing sent, a late generator, missed faults, or a busy machine."""
    lag, missed = result["generator_lag"], result.get("missed_faults", [])
    busy = result.get("busy_machine")
    reasons = []
    if busy:  # comes first: on a busy machine the generator is late, too
        reasons.append(_busy(busy, result))
    if lag["measured"] is None:
        reasons.append(gettext("Invalid: nothing was sent."))
    elif not (missed or busy) or not (lag["ok"] or "ramp" in result):
        reasons.append(_given_up() if lag["ok"] else _late(lag))
    if unbegun := [fault for fault in missed if fault["error"] is None]:
        reasons.append(
            ngettext(
                "Invalid: %(num)s fault of the plan did not happen, since the run ended before: %(faults)s. Plan it "
                "earlier, or make the load longer.",
                "Invalid: %(num)s faults of the plan did not happen, since the run ended before: %(faults)s. Plan them "
                "earlier, or make the load longer.",
                len(unbegun),
                faults=_faults(unbegun),
            )
        )
    if failed := [fault for fault in missed if fault["error"] is not None]:
        reasons.append(
            ngettext(
                "Invalid: %(num)s fault of the plan could not be carried out: %(faults)s.",
                "Invalid: %(num)s faults of the plan could not be carried out: %(faults)s.",
                len(failed),
                faults=_faults(failed),
            )
        )
    return " ".join(reasons)


def _given_up() -> str:
    return gettext(
        "Invalid: the generator stopped before the end of the load, since it was too far behind its schedule. "
        "Use less load, or more machines for Locust."
    )


def _late(lag: Threshold) -> str:
    return gettext(
        "Invalid: the generator was %(time)s behind its schedule (%(quantile)s), so these figures say nothing about "
        "the system. Use less load, or more machines for Locust.",
        time=measured_of(lag),
        quantile=gettext("max") if lag["code"].endswith("_max") else "p99",
    )


def _busy(busy: BusyMachine, result: LoadResult) -> str:
    return gettext(
        "Invalid: for %(busy)s of %(whole)s other programs used %(share)s of the machine's CPU time and left almost "
        "none, so these times say nothing about the system: %(missed)s. Run it again while nothing else runs.",
        busy=duration(1000 * busy["busy_s"]),
        whole=duration(1000 * (result["duration_s"] + result["drain_s"])),
        share=share(busy["others"]),
        missed=_missed(result),
    )


def _faults(missed: Sequence[MissedFault]) -> str:
    """List faults with their planned times and their errors, at most MISSED_MAX of them."""
    shown = [
        gettext("%(fault)s at %(time)s", fault=fault_name(fault["code"]), time=duration(1000 * fault["at_s"]))
        + (f" ({cut(one_line(fault['error']), ERROR_LENGTH_MAX)})" if fault["error"] else "")
        for fault in missed[:MISSED_MAX]
    ]
    if more := len(missed) - len(shown):
        shown.append(ngettext("and %(num)s more", "and %(num)s more", more))
    return gettext(", ").join(shown)


def _count(number: int) -> str:
    return f"{number:,}" if number else gettext("none")


def setting_name(code: str) -> str:
    """Name a setting or a fact about the machine; a variable of the environment keeps its own name."""
    return gettext(_SETTINGS[code]) if code in _SETTINGS else code


def setting_value(code: str, value: str | float) -> str:
    """Write a setting with the unit that its name ends in."""
    if isinstance(value, str):
        return gettext("legacy buffer") if (code, value) == ("system", "legacy") else value
    if code.endswith("_s"):
        return duration(1000 * value)
    if code.endswith("_per_min"):
        return _figure(value, "/min")
    return share(value) if code.endswith("_share") else f"{value:,.6g}"


def _figure(value: float, unit: Unit) -> str:
    """Write a value with its unit; a share below 100 % is never rounded up to it."""
    if unit == "ms":
        return duration(value)
    if unit == "%":
        return share(value / 100)
    number = f"{value:,.1f}".removesuffix(".0")
    if unit == "MB":
        return gettext("%(value)s MB", value=number).replace(" ", NO_BREAK)
    return gettext("%(value)s /min", value=number) if unit == "/min" else number
