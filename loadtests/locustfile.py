"""The locustfile: sends a schedule of webhooks that waits for nobody, then settles the account.

With `--master/--worker` or `--processes` the master draws the schedule, deals it out by conversation, and keeps the
account; the number of users that Locust is told to start changes nothing.
"""

from __future__ import annotations

import logging
from typing import Any

import gevent
from locust import User, constant, events, task
from locust.env import Environment
from locust.runners import WorkerRunner

from loadtests.account.account import Account
from loadtests.account.result import result_of, write
from loadtests.console import show_result
from loadtests.generator import Generator
from loadtests.options import add_options
from loadtests.schedule import ScheduleError
from reports.results.load import LoadResult

EXIT_MISSED = 1
EXIT_USAGE = 2
EXIT_INVALID = 3

_log = logging.getLogger("loadtests")


class WhatsApp(User):
    """Locust runs nothing without a user. The schedule is played beside it, so how many there are changes nothing."""

    wait_time = constant(1)

    @task
    def wait(self) -> None:
        """Does nothing."""


@events.init_command_line_parser.add_listener
def _add_options(parser: Any) -> None:
    add_options(parser)


@events.init.add_listener
def _prepare(environment: Environment, **_: Any) -> None:
    environment.load = Generator(environment)  # type: ignore[attr-defined]


@events.test_start.add_listener
def _start(environment: Environment, **_: Any) -> None:
    """Where the account is kept, not in a worker of several: draws the schedule and deals it out."""
    if isinstance(environment.runner, WorkerRunner):
        return
    options = environment.parsed_options
    assert options is not None
    try:
        account = Account(options, environment.host or "")
    except (ScheduleError, ValueError, OSError) as error:
        _log.error("%s", error)
        environment.process_exit_code = EXIT_USAGE
        gevent.spawn_later(0.1, environment.runner.quit)  # type: ignore[union-attr]  # it is just starting
        return
    environment.process_exit_code = (
        EXIT_INVALID  # until the account is settled: --run-time may end the run before
    )
    environment.load.deal(account)  # type: ignore[attr-defined]
    gevent.spawn(_settle, environment, account)


@events.test_stop.add_listener
def _stop(environment: Environment, **_: Any) -> None:
    environment.load.stop()  # type: ignore[attr-defined]


@events.quitting.add_listener
def _explain(environment: Environment, **_: Any) -> None:
    account = environment.load.account  # type: ignore[attr-defined]
    if account is not None and not account.is_settled:
        _log.error(
            "ended before everything was sent and answered, so there is no result: --run-time is too short"
        )


def _settle(environment: Environment, account: Account) -> None:
    """Waits for the load and the drain, writes the result, and ends a run that nobody looks at in a browser."""
    try:
        account.run()
        result = result_of(account, account.settle())
        write(result, account.samples, account.folder)
        show_result(result, account.folder)
        environment.process_exit_code = _exit_code(result)
    except Exception:  # noqa: BLE001 - whatever it was, the run must end, and not with 0
        _log.exception("the account could not be settled")
        environment.process_exit_code = EXIT_INVALID
    runner = environment.runner
    assert runner is not None
    if environment.web_ui is None:
        runner.quit()
    else:  # somebody looks at it in a browser, and may start another
        runner.stop()


def _exit_code(result: LoadResult) -> int:
    if not result["valid"]:
        return EXIT_INVALID
    return 0 if result["ok"] else EXIT_MISSED
