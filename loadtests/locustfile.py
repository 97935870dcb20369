"""Locustfile that sends webhooks on a schedule, without waiting for answers, then writes the result.

With `--master/--worker` or `--processes` the master draws the schedule, distributes it by conversation, and keeps the
account. Locust's number of users has no effect.

A load that is ended early (`--run-time`, the button Stop) has a result for the messages that were sent. After an
interrupt (Ctrl-C) there is no result.
"""

from __future__ import annotations

import logging
from typing import Any

import gevent
from locust import User, constant, events, task
from locust.env import Environment
from locust.runners import WorkerRunner

from loadtests.account.account import Account, AccountError
from loadtests.account.console import show_result
from loadtests.account.result import result_of, write
from loadtests.generator import Generator
from loadtests.options import add_locust_options
from loadtests.run import INVALID, MISSED, OK, USAGE
from loadtests.schedule import ScheduleError
from queue_core.command_lines import typed
from reports.results.load import LoadResult

_log = logging.getLogger("loadtests")


class WhatsApp(User):
    """User that does nothing. Locust does not run without users, but the generator sends the messages."""

    wait_time = constant(1)

    @task
    def wait(self) -> None:
        """Do nothing."""


@events.init_command_line_parser.add_listener
def _add_options(parser: Any) -> None:
    add_locust_options(parser)


@events.init.add_listener
def _prepare(environment: Environment, **_: Any) -> None:
    environment.load = Generator(environment)  # type: ignore[attr-defined]
    options = environment.parsed_options
    if options is not None and not options.stack_facts and not isinstance(environment.runner, WorkerRunner):
        # Locust prints its help before it reads this file, so these options are missing there.
        _log.info(typed("scenarios, thresholds and other options: python -m loadtests run --help"))


@events.test_start.add_listener
def _start(environment: Environment, **_: Any) -> None:
    """Open the account and distribute the schedule; in a worker, do nothing."""
    if isinstance(environment.runner, WorkerRunner):
        return
    options = environment.parsed_options
    assert options is not None
    environment.process_exit_code = INVALID  # until the account is settled
    try:
        account = Account(options, environment.host or "")
    except (AccountError, ScheduleError, ValueError, OSError) as error:
        _log.error("%s", error)
        environment.process_exit_code = USAGE
        gevent.spawn_later(0.1, environment.runner.quit)  # type: ignore[union-attr]  # it is just starting
        return
    environment.load.distribute(account)  # type: ignore[attr-defined]
    gevent.spawn(_settle, environment, account)


@events.test_stopping.add_listener
def _end(environment: Environment, **_: Any) -> None:
    """End the load, and keep Locust from ending before the account is settled."""
    load: Generator = environment.load  # type: ignore[attr-defined]
    load.end()
    if load.account is not None:
        load.account.settled.wait()


@events.quitting.add_listener
def _interrupt(environment: Environment, **_: Any) -> None:
    account: Account | None = environment.load.account  # type: ignore[attr-defined]
    if account is None:
        if environment.process_exit_code == INVALID:
            _log.error("ended before the load began: there is no result")
    elif not account.settled.is_set():
        _log.error("interrupted before everything was sent and answered: there is no result")
        account.settled.set()


def _settle(environment: Environment, account: Account) -> None:
    """Wait for the load and the drain, write the result, and end Locust, or only the load if it has a web page."""
    try:
        account.run()
        result = result_of(account, account.settle())
        write(result, account.samples, account.folder)
        environment.process_exit_code = _exit_code(result)
        if environment.web_ui is None:  # show the result after Locust's tables
            events.quit.add_listener(  # type: ignore[no-untyped-call] # Locust has no types
                lambda **_: show_result(result, account.folder)
            )
        else:
            show_result(result, account.folder)
    except AccountError as error:
        _log.error("there is no result: %s", error)
    except Exception:  # noqa: BLE001 - any error must end the run, with an exit code other than 0
        _log.exception("there is no result, because of an unexpected error")
    account.settled.set()
    if environment.load.has_ended:  # type: ignore[attr-defined]
        return  # the load was ended before, and Locust ends by itself
    runner = environment.runner
    assert runner is not None
    if environment.web_ui is None:
        runner.quit()
    else:
        runner.stop()


def _exit_code(result: LoadResult) -> int:
    if not result["valid"]:
        return INVALID
    return OK if result["ok"] else MISSED
