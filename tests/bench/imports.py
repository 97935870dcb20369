"""Benchmark of an import beside a bare `json.loads` of each line: `make bench`. The aim is 20,000 lines a second."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from queue_core.channels.cloud import example as cloud
from queue_core.channels.evolution import example as evolution
from queue_core.channels.evolution_go import example as evolution_go
from queue_core.channels.waha import example as waha
from queue_core.recording.format import MessageEvent
from queue_core.recording.writer import message_line, other_line
from sim.importers.importing import Import
from sim.importers.taking import ImportOptions

LINES = 20_000
REPEATS = 3
PEOPLE = 2_000
START_S = 1_772_360_400


def _facts(number: int) -> dict[str, Any]:
    return {"phone": f"9665{number % PEOPLE:08d}", "instance": "shop", "unix_s": START_S + number // 10}


def _evolution(number: int) -> dict[str, Any]:
    """Make a webhook with all that the Evolution API sends with a message; every third is the bot's own."""
    body = evolution.example_webhook(f"3EB0{number:016X}", "quanto custa? " * 3, **_facts(number))
    body["data"]["key"]["fromMe"] = number % 3 == 0
    body["data"]["message"]["messageContextInfo"] = {
        "deviceListMetadata": {"senderKeyHash": "k", "senderTimestamp": "1745845546"},
        "deviceListMetadataVersion": 2,
        "messageSecret": "s",
    }
    seconds = number // 10
    time_of_day = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return {**body, "date_time": f"2026-03-01T{time_of_day}.250Z", "sender": "15550000000@s.whatsapp.net"}


def _evolution_go(number: int) -> dict[str, Any]:
    return evolution_go.example_webhook(
        f"3EB0{number:016X}", "quanto custa?", phone=_facts(number)["phone"], instance="shop"
    )


CASES: dict[str, Callable[[int], dict[str, Any]]] = {
    "Evolution API": _evolution,
    "Evolution Go": _evolution_go,
    "WAHA": lambda number: waha.example_webhook(f"3EB0{number:016X}", "quanto custa?", **_facts(number)),
    "Cloud API": lambda number: cloud.example_webhook(f"wamid.{number}", "quanto custa?", **_facts(number)),
}


def _import(path: Path) -> None:
    for event in Import([path], ImportOptions()).events():
        (message_line(event) if isinstance(event, MessageEvent) else other_line(event)).encode()


def _loads(path: Path) -> None:
    with path.open("rb") as file:
        for line in file:
            json.loads(line)


def measured_s(work: Callable[[Path], None], path: Path) -> float:
    """Return the shortest CPU time of a few repeats."""
    times = []
    for _ in range(REPEATS):
        began = time.process_time()
        work(path)
        times.append(time.process_time() - began)
    return min(times)


def main() -> None:
    """Print a row for each provider."""
    table = Table("webhooks of", "lines/s", "json.loads/s", "ratio", title="From webhooks to a recording")
    with tempfile.TemporaryDirectory() as folder:
        for name, body in CASES.items():
            path = Path(folder) / "dump.log"
            path.write_text("".join(json.dumps(body(number)) + "\n" for number in range(LINES)))
            import_s, loads_s = measured_s(_import, path), measured_s(_loads, path)
            table.add_row(
                name, f"{LINES / import_s:,.0f}", f"{LINES / loads_s:,.0f}", f"{import_s / loads_s:.1f}"
            )
    Console().print(table)


if __name__ == "__main__":
    main()
