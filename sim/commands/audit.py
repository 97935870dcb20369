"""`python -m sim audit`: shows what really became of the messages in recordings with replies."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from queue_core.command_lines import typed
from queue_core.durations import DurationError, parse_duration_ms
from queue_core.text import visible
from reports.results.audit import AuditResult, Counts
from reports.text import NO_BREAK, short_phone
from reports.words.audit import audit_verdict, figures, minute, second, unknowable_words
from reports.words.numbers import EN_DASH
from sim.audit.audit import NoRepliesError, audit
from sim.audit.fates import AI_TAKES_MS, Limits
from sim.commands.errors import InputError
from sim.commands.import_options import import_options
from sim.commands.recordings import load_files
from sim.commands.shared import (
    BAD_OUTCOME,
    OK,
    add_pages,
    add_paths,
    check_outputs,
    command_line,
    given_options,
    publish,
)
from sim.tables import print_table

REPORT = Path("reports/out/audit.html")
_LIMITS = ("within", "ai-takes")
WORST_LINES = 12


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "audit",
        help="show which messages were really answered, when, by whom, and how often",
        description="Shows what really became of the messages, in recordings and logs that have the replies too: which "
        "messages got no reply, which were answered twice, how long people waited. Nothing is simulated.",
        epilog="Exit code: 1 when a message got no reply or was probably not read, or was answered late, twice or out "
        "of order; 2 for input or options that cannot be used, or if there are no replies; otherwise 0. TIME is a "
        "number and its unit: ms, s, m or h.",
    )
    add_paths(parser)
    parser.add_argument(
        "--within", metavar="TIME", help="count a reply as late if it took longer than this, as in 5m"
    )
    parser.add_argument(
        "--ai-takes",
        metavar="TIME",
        help="shortest time in which the bot can answer: a message that came less than this time before a reply was "
        f"probably not read (default: {AI_TAKES_MS // 1000}s)",
    )
    add_pages(parser, REPORT)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Audit, write and show; returns the exit code. Raises InputError."""
    limits = Limits(
        within_ms=_time(options.within, "--within"),
        ai_takes_ms=_time(options.ai_takes, "--ai-takes") or AI_TAKES_MS,
    )
    check_outputs(options)
    loaded = load_files(options, replace(import_options(options), shows_text=True))
    recordings = loaded.recordings
    command = command_line("audit", options, given_options(options, _LIMITS))
    try:
        result = audit(
            recordings,
            limits,
            zone=str(options.zone or "UTC"),
            command=command,
            shows_text=options.text or not loaded.imports,
        )
    except NoRepliesError:
        names = ", ".join(visible(recording.name) for recording in recordings[:3])
        raise InputError(
            f"{names}: has no replies to users who wrote, so it does not show what was answered. Record what the bot "
            f"sends, too (webhooks with fromMe, for instance); `{typed('python -m sim replay')}` works without replies"
        ) from None
    publish(
        result,
        options,
        write_report=_write_report,
        show=_show,
        verdict=audit_verdict(result),
        style="bold green" if result["ok"] else "bold red",
    )
    return OK if result["ok"] else BAD_OUTCOME


def _time(text: str | None, option: str) -> int | None:
    if text is None:
        return None
    try:
        return round(parse_duration_ms(text, is_above_0=True))
    except DurationError as error:
        raise InputError(f"{option}: {error}") from None


def _write_report(result: AuditResult, options: argparse.Namespace) -> None:
    from reports.pages.audit.page import write_audit_report  # noqa: PLC0415 - matplotlib takes a second to import

    write_audit_report(result, options.report, options.lang)


def _show(result: AuditResult, console: Console) -> None:
    """Print the figures, in all and by instance, the busiest minutes, and the worst conversations."""
    for name, value, kind in figures(result["total"], result["within_ms"], result["unknowable"]):
        style = {"bad": "bold red", "warn": "yellow"}.get(kind, "")
        console.print(Text(f"{value.replace(NO_BREAK, ' '):>16}  {name}", style=style))
    console.print()
    _show_waits(result, console)
    if result["busiest"]:
        rows = [
            [minute(row["at_ms"], result["zone"]), f"{row['messages']:,}", f"{row['unanswered']:,}"]
            for row in result["busiest"]
        ]
        headers = (f"busiest minutes ({result['zone']})", "messages", "without a reply")
        print_table(console, headers, rows)
        console.print()
    _show_worst(result, console)
    for words in unknowable_words(result):
        console.print(Text(f"Not known: {words}", style="dim"))


def _show_waits(result: AuditResult, console: Console) -> None:
    """Print the times that people waited, for each instance and in all."""
    named = [(visible(row["instance"]), row["counts"]) for row in result["instances"]]
    rows = [
        [
            name,
            f"{counts['users']:,}",
            f"{counts['messages']:,}",
            f"{counts['unanswered']:,}",
            f"{counts['twice']:,}",
            *_times(counts),
        ]
        for name, counts in ([*named, ("all", result["total"])] if len(named) > 1 else named)
    ]
    headers = ("instance", "users", "messages", "without a reply", "twice", "from first, s", "from last, s")
    print_table(console, headers, rows)
    console.print(
        Text(
            "from first, from last: time from a turn's first or last message to its reply, p50 / p95 / max.\n",
            style="dim",
        )
    )


def _times(counts: Counts) -> list[str]:
    return [
        "/".join(_in_seconds(times[name]) for name in ("p50", "p95", "max"))
        for times in (counts["first_ms"], counts["last_ms"])
    ]


def _in_seconds(value_ms: int | None) -> str:
    return EN_DASH if value_ms is None else f"{value_ms / 1000:,.1f}"


def _show_worst(result: AuditResult, console: Console) -> None:
    """Print the messages with which something went wrong, in the worst conversations."""
    epochs = {recording["name"]: recording["epoch_ms"] for recording in result["recordings"]}
    left = WORST_LINES
    for conversation in result["worst"]:
        for message in conversation["messages"]:
            faults = [
                words
                for words, is_so in (
                    ("no reply", message["state"] == "unanswered"),
                    ("answered twice", message["twice"]),
                    ("out of order", message["order"]),
                    ("probably not read", message["too_soon"]),
                )
                if is_so
            ]
            if not faults:
                continue
            if not left:
                console.print(Text("  … there are more on the page, and with --json", style="dim"))
                console.print()
                return
            left -= 1
            at = second(epochs[conversation["recording"]] + message["at_ms"], result["zone"])
            who = visible(short_phone(conversation["phone"]))
            text = visible(message["text"])[:60] or message["kind"]
            console.print(Text(f"  {at}  {who}  {', '.join(faults)}: {text}"))
    if result["worst"]:
        console.print()
