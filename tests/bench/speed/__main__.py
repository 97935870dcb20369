"""Speed of the queue beside its limit, other commits and other queues, all in one run on a real Redis: `make bench`.

Contenders take turns, repeat by repeat. Ratios and CPU time are what to read; rates are this machine's.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import Progress

from queue_core.redis_server.binaries import find_all_redis_servers
from queue_core.redis_server.embedded import EmbeddedRedis
from tests.bench.speed import contenders, figures, tables, webhooks
from tests.bench.speed.figures import Results
from tests.bench.speed.measuring import Bench, MeasurementError
from tests.bench.speed.worktree import UnknownCommitError, worktree

Against = tuple[str, Path] | None
_INSTALL = "BullMQ and groupmq are not installed, so they are left out: `make bench-peers` installs and measures them"


@dataclass(frozen=True)
class Facts:
    """Content of the file that --json writes."""

    results: Results
    aims: list[figures.Aim]


def measure(url: str, server: str, options: argparse.Namespace, against: Against) -> Results:
    """Measure all contenders in turns."""
    chosen = contenders.contenders(against)
    results = Results(server, options.messages, peers=tuple(it.name for it in chosen if it.is_peer))
    console = Console(stderr=True)
    if not results.peers:
        console.print(_INSTALL)
    steps = options.repeats * (sum(len(it.cases) for it in chosen) + 2 + bool(against))
    with Progress(console=console) as progress, ExitStack() as stack:
        bar = progress.add_task("", total=steps)
        bench = Bench(url)
        for _ in range(options.repeats):
            for contender in chosen:
                for case in contender.cases:
                    progress.update(bar, description=f"{contender.name}, {case}")
                    measured = bench.run(contender, case, options.messages)
                    results.queues.setdefault(contender.name, {}).setdefault(case, []).append(measured)
                    progress.advance(bar)
        running = stack.enter_context(webhooks.servers(url, against))
        for repeat in range(options.repeats):
            for name, web_server in running.items():
                progress.update(bar, description=f"webhooks, {name}")
                bench.redis.flushall()
                acknowledged = webhooks.measure(web_server, options.webhooks, f"{repeat:02}")
                results.webhooks.setdefault(name, []).append(acknowledged)
                progress.advance(bar)
    return results


def show(results: Results, *, is_markdown: bool) -> None:
    """Print the tables, for a terminal or for docs/measurements.md, which has no aims."""
    parts = {
        f"Queues, {results.server}, this commit in turns of one = 1": tables.queue_rows(results),
        "Webhooks, the bare handler = 1": tables.webhook_rows(results),
    }
    if is_markdown:
        print("\n\n".join(tables.markdown(rows) for rows in parts.values()))
        return
    console = Console()
    for title, rows in {**parts, "Aims": tables.aim_rows(results)}.items():
        console.print(tables.console_table(rows, title))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests.bench.speed", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument(
        "--messages",
        type=int,
        default=20_000,
        help="messages in each repeat of each case (default %(default)s)",
    )
    parser.add_argument(
        "--webhooks", type=int, default=6_000, help="webhooks in each repeat (default %(default)s)"
    )
    parser.add_argument("--repeats", type=int, default=5, help="repeats of every case (default %(default)s)")
    parser.add_argument("--against", metavar="REV", help="measure this commit, too, in a temporary worktree")
    parser.add_argument(
        "--markdown",
        action="store_true",
        help="print the tables in Markdown, as docs/measurements.md has them",
    )
    parser.add_argument("--json", type=Path, help="write every repeat to this file")
    parser.add_argument("--show", type=Path, help="print the tables of this file, and measure nothing")
    options = parser.parse_args()
    if min(options.messages, options.webhooks) < 1_000 or options.repeats < 1:
        parser.error("fewer than 1000 messages or webhooks, or no repeat, give no figure")
    options.messages -= options.messages % 300  # whole turns of three, whole hundreds of the limit
    return options


def main() -> int:
    """Measure, print, and return the exit code."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that processes and worktree are removed
    if options.show:
        show(msgspec.json.decode(options.show.read_bytes(), type=Facts).results, is_markdown=options.markdown)
        return 0
    newest = max(find_all_redis_servers(), key=lambda binary: binary.rank)
    try:
        with ExitStack() as stack:
            against = None
            if options.against:
                against = (options.against, stack.enter_context(worktree(options.against)))
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            server = stack.enter_context(EmbeddedRedis(Path(folder), server=newest.path, port=0))
            results = measure(server.url, f"Redis {newest.version} without AOF", options, against)
    except (MeasurementError, UnknownCommitError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    show(results, is_markdown=options.markdown)
    if options.json:
        options.json.write_bytes(msgspec.json.encode(Facts(results, figures.aims(results))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
