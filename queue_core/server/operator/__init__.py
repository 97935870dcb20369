"""Commands of the operator, which inspect, repair and test the queue. Each command has a module."""

from __future__ import annotations

import argparse

from queue_core.server.operator.check import add_check
from queue_core.server.operator.damaged import add_damaged
from queue_core.server.operator.dead import add_dead
from queue_core.server.operator.drain import add_drain
from queue_core.server.operator.forget import add_forget
from queue_core.server.operator.hold import add_hold
from queue_core.server.operator.partitions import add_partitions
from queue_core.server.operator.send_test import add_send_test
from queue_core.server.operator.show import add_show
from queue_core.server.operator.status import add_status


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to a command line. `await args.run(args, settings)` then returns the exit code.

    It raises QueueError (InvalidSettingsError: no Redis is configured; QueueUnavailableError: it does not answer)
    and EmbeddedRedisError.
    """
    add_check(commands)
    add_status(commands)
    add_show(commands)
    add_dead(commands)
    add_damaged(commands)
    add_drain(commands)
    add_hold(commands)
    add_forget(commands)
    add_partitions(commands)
    add_send_test(commands)
