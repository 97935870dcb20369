"""Output of a validation: the table on the console, the files, and the exit code."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TextIO

from loadtests.account.console import show, table
from loadtests.run import INVALID, MISSED, OK
from reports.analysis.agreement import COUNTS
from reports.results.validation import CountName, Trial, ValidationResult
from reports.results.writing import STANDARD_OUTPUT, json_text, write_whole
from reports.words.validation import count_name, problem_words, trial_name, trial_outcome, validation_verdict

RESULT_FILE, REPORT_FILE = "result.json", "report.html"


def publish(result: ValidationResult, out: Path, *, json_file: str, language: str) -> int:
    """Write the result and its page, show the table and the verdict, and return the exit code."""
    from reports.pages.validation.page import write_validation_report  # noqa: PLC0415 - matplotlib takes a second

    write_whole(json_text(result), out / RESULT_FILE)
    write_validation_report(result, out / REPORT_FILE, language)
    terminal: TextIO = sys.stdout
    if json_file:
        write_whole(json_text(result), Path(json_file))
        terminal = sys.stderr if Path(json_file) == STANDARD_OUTPUT else sys.stdout
    show(
        [*_lines(result), "", str(validation_verdict(result)), f"Report: {_shown(out / REPORT_FILE)}"],
        terminal,
    )
    return exit_code(result)


def exit_code(result: ValidationResult) -> int:
    """Return INVALID if a live run was not as planned, MISSED if the simulator differs, otherwise OK."""
    verdicts = {trial["verdict"] for trial in result["trials"]}
    if "invalid" in verdicts:
        return INVALID
    return OK if result["ok"] else MISSED


def _lines(result: ValidationResult) -> list[str]:
    heads = [
        "trial",
        "replies",
        "distance live 1, 2",
        "distance simulated",
        "allowed",
        *map(count_name, COUNTS),
        "outcome",
    ]
    trials = result["trials"]
    lines = ["", *table(heads, [_row(trial) for trial in trials]), "", "counts: simulated (live 1, live 2)"]
    return lines + [
        f"{trial_name(trial['name'])}: {words}" for trial in trials for words in problem_words(trial)
    ]


def _row(trial: Trial) -> list[str]:
    distance = f"{trial['distance']:.3f}" if trial["distances"] else "-"
    return [
        trial_name(trial["name"]),
        f"{len(trial['simulated']['reply_ms']):,}",
        f"{trial['floor']:.3f}",
        distance,
        f"{trial['allowed']:.3f}",
        *(_counts(trial, count) for count in COUNTS),
        trial_outcome(trial),
    ]


def _counts(trial: Trial, name: CountName) -> str:
    live = ", ".join(f"{run[name]:,}" for run in trial["live"])
    return f"{trial['simulated'][name]:,} ({live})"


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
