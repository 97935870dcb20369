"""Runner of the operator's commands in tests: through argparse, on a real Redis, with captured output."""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from queue_core import MessageQueue, QueueMessage
from queue_core.server import config
from queue_core.server.config import ServerSettings
from queue_core.server.operator import add_commands
from tests.queue_core.bot import claimed_batch

HOSTILE = "ev:il{0}\n\x1b[2J\u202eeman \u0007*"
"""A name that tries to break keys, tables, terminals and the direction of text."""
QUICK = {"QUEUE_WINDOW_MS": "20", "QUEUE_BACKOFF_BASE_MS": "10", "QUEUE_BACKOFF_MAX_MS": "20"}


def parser() -> argparse.ArgumentParser:
    """Make a parser of the operator's commands alone."""
    made = argparse.ArgumentParser(prog="python -m queue_core")
    add_commands(made.add_subparsers(required=True, metavar="COMMAND"))
    return made


def command_names(of: argparse.ArgumentParser) -> list[list[str]]:
    """Return the words of all commands of a parser, such as ["dead"] and ["dead", "list"]."""
    names = []
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                names += [[name], *([name, *words] for words in command_names(below))]
    return names


def url_of(client: Redis) -> str:
    """Return the URL that a client of the fixtures is connected to."""
    return f"unix://{client.connection_pool.connection_kwargs['path']}"


def settings_for(redis_url: str = "", **environ: str) -> ServerSettings:
    """Make settings from these variables, and none of this machine's."""
    given = QUICK | environ | ({"REDIS_URL": redis_url} if redis_url else {})
    return config.load(given, Path("/dev/null")).settings


@dataclass
class CommandResult:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, as JSON."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        """Standard output, by lines as a terminal sees them."""
        return self.out.split("\n")[:-1]


@dataclass
class Console:
    """Runner of commands, and the queue that they work on."""

    settings: ServerSettings
    capsys: pytest.CaptureFixture[str]
    queue: MessageQueue = field(init=False)
    client: Redis | None = None

    def __post_init__(self) -> None:
        if self.client is not None:
            self.queue = MessageQueue(self.client, self.settings.queue)

    async def run(self, *arguments: str) -> CommandResult:
        """Run a command to its end."""
        self.capsys.readouterr()
        args = parser().parse_args(arguments)
        code = await args.run(args, self.settings)
        captured = self.capsys.readouterr()
        return CommandResult(code, captured.out, captured.err)

    async def usage_error(self, *arguments: str) -> str:
        """Run a command with wrong usage; return the last line of its error."""
        with pytest.raises(SystemExit) as ended:
            await self.run(*arguments)
        assert ended.value.code == 2
        captured = self.capsys.readouterr()
        assert captured.out == ""
        return captured.err.splitlines()[-1]

    def start(self, *arguments: str) -> asyncio.Task[int]:
        """Start a command in the background; read what it writes from capsys."""
        self.capsys.readouterr()
        args = parser().parse_args(arguments)
        return asyncio.ensure_future(args.run(args, self.settings))

    async def put(
        self, message_id: str, *, phone: str = "201", instance: str = "bot", text: str = "hi"
    ) -> None:
        """Put a message into the queue."""
        await self.queue.enqueue(
            QueueMessage(
                id=message_id,
                instance_name=instance,
                user_phone=phone,
                message=text,
                message_data={"kind": "text", "webhook": {"secret": "of the webhook"}},
            )
        )

    async def put_dead_letter(
        self, message_id: str, reason: str, *, phone: str = "201", text: str = "hi"
    ) -> None:
        """Put a message into the queue, and make it a dead letter."""
        await self.put(message_id, phone=phone, text=text)
        await self.queue.fail(await claimed_batch(self.queue), reason, dead=True)


def console_on(client: Redis, capsys: pytest.CaptureFixture[str], **environ: str) -> Console:
    """Make a runner of commands on the Redis of a client."""
    return Console(settings_for(url_of(client), **environ), capsys, client)
