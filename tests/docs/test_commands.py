"""Every command of the documents is run here, or is listed with the reason why not."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

import loadtests.commands
import loadtests.validation.command
import queue_core.server.cli
import reports.cli
import sim.cli
from loadtests.run import INVALID
from queue_core import MessageQueue, QueueMessage, connect
from queue_core.message import encode
from queue_core.redis_server.embedded import EmbeddedRedis
from tests.docs.documents import PAGES, ROOT, Command, block, commands
from tests.queue_core.server.deployment import QUICK, Process, running
from tests.sim.commands.test_audit_command import DAY

COMMANDS = commands()
STUDIES = ("python -m sim", "python -m reports")
PARTS = {"web": "listening on", "worker": "worker started", "monitor": "health"}
"""Processes of a deployment, and how their logs say that they are ready."""
OPERATOR = (
    "check",
    "status",
    "show",
    "dead",
    "damaged",
    "drain",
    "hold",
    "resume",
    "forget",
    "tick",
    "send-test",
    "partitions",
)
LOADS = ("run", "validate")
NOT_RUN = {
    "make": "each takes minutes; they are checked against the Makefile, and CI runs `make test` and `make regress`",
    "pip": "it needs the network; the extras are checked against pyproject.toml",
    "python3": "the README's installation, which needs the network too",
    "docker": "it needs Docker: tests/deploy/ checks the files",
    "sudo": "it changes the machine: tests/deploy/ checks the files",
    "locust": "it runs until Ctrl-C: tests/loadtests/test_locustfile.py",
    "python -m loadtests stack": "it runs until Ctrl-C: tests/loadtests/stack/test_deployment.py",
    "python -m loadtests failover": "it takes minutes: tests/loadtests/failover/",
    "python -m tests.bench.footprint --rates": "it takes minutes, and measures the machine",
    "python -m loadtests sink": "it runs until Ctrl-C: tests/loadtests/sink/test_server.py",
}
SHORTER = {"--runs 100": "--runs 2"}
"""Options that only make a command last longer."""


def server_commands(name: str) -> list[Command]:
    return [command for command in COMMANDS if command.name == f"python -m queue_core {name}"]


def test_every_command_is_run_or_listed() -> None:
    run = {f"python -m queue_core {name}" for name in (*PARTS, *OPERATOR, "redis")}
    run |= {f"python -m loadtests {name}" for name in LOADS}
    for command in COMMANDS:
        known = command.script or command.name in run or command.name in NOT_RUN
        assert known or command.text.startswith(_typed(STUDIES)), command
    names = {command.name for command in COMMANDS}
    assert set(NOT_RUN) <= names
    for page in PAGES:
        for text in re.findall(r"`(python -m [^`…]+)", page.read_text("utf-8")):
            assert Command(page.name, text).name in names, f"{text} stands in a sentence only, and is not run"


def _typed(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        prefix + name.removeprefix("python") for name in names for prefix in ("python", ".venv/bin/python")
    )


@pytest.mark.parametrize(
    "page", sorted({command.page for command in COMMANDS if command.text.startswith(_typed(STUDIES))})
)
def test_replays_and_reports_run_in_the_order_of_their_page(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder in which they run has the files that the pages name."""
    monkeypatch.chdir(tmp_path)
    for recording in ("logs/incident.jsonl", "docs/planted.jsonl"):
        (tmp_path / recording).parent.mkdir()
        shutil.copy(ROOT / recording, tmp_path / recording)
    (tmp_path / "mine.jsonl").write_text(block("logs/README.md", "json"), "utf-8")
    (tmp_path / "dump.log").write_text(block("docs/import.md", "json"), "utf-8")
    (tmp_path / "friday.jsonl").write_text(DAY, "utf-8")
    for command in COMMANDS:
        if command.page == page and command.text.startswith(_typed(STUDIES)):
            text = command.text
            for longer, shorter in SHORTER.items():
                text = text.replace(longer, shorter)
            module, *arguments = Command(page, text).words[2:]
            main = sim.cli.main if module == "sim" else reports.cli.main
            try:
                code = main(arguments)
            except SystemExit as ended:  # --help
                code = int(ended.code or 0)
            assert code == 0 or (code == 1 and arguments[0] in ("compare", "audit")), command


def test_the_sentence_of_the_audit_is_what_an_audit_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "friday.jsonl").write_text(DAY, "utf-8")
    sim.cli.main(["audit", str(tmp_path / "friday.jsonl"), "--no-report"])
    assert capsys.readouterr().out.splitlines()[-1] == block("docs/audit.md", "text").strip()


def test_the_table_of_the_incident_is_what_a_replay_prints(capsys: pytest.CaptureFixture[str]) -> None:
    sim.cli.main(["replay", str(ROOT / "logs" / "incident.jsonl"), "--no-report"])
    printed = " ".join(capsys.readouterr().out.split())
    assert " ".join(block("docs/replay.md", "text").split("\n", 1)[1].split()) in printed


@pytest.mark.parametrize(
    "command",
    [each for each in COMMANDS if each.name.startswith("python -m loadtests") and each.name not in NOT_RUN],
)
def test_options_of_load_tests_are_taken(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to the moment when the stack would start: a load takes half a minute and more."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loadtests.validation.command, "carry_out_series", lambda _: None)
    monkeypatch.setattr(loadtests.validation.command, "publish", lambda *_, **__: INVALID)
    monkeypatch.setattr(loadtests.commands, "carry_out", lambda *_: INVALID)
    if "--help" in command.words:
        with pytest.raises(SystemExit, match="0"):
            loadtests.commands.main(command.words[3:])
    else:
        assert loadtests.commands.main(command.words[3:]) == INVALID


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.name == "locust"])
def test_options_of_locust_are_taken(command: Command) -> None:
    """In a process of its own, since Locust changes the standard library."""
    code = (
        "import sys; from locust.argument_parser import get_parser; from loadtests.options import add_locust_options\n"
        "parser = get_parser(); add_locust_options(parser); parser.parse_args(sys.argv[1:])"
    )
    parsed = [sys.executable, "-c", code, *command.words[1:]]
    done = subprocess.run(parsed, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_make_targets_and_extras_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8").replace("$(VENV)", ".venv")
    rules = re.findall(r"^([a-z.][^:=\n]*):(?!=)", makefile, re.MULTILINE)
    pages = "\n".join(page.read_text("utf-8") for page in PAGES)
    targets = [word for command in COMMANDS if command.name == "make" for word in command.words[1:]]
    targets += re.findall(r"`make ([^`]+)`", pages)
    assert set(targets) <= {target for rule in rules for target in rule.split()}
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    named = ",".join(re.findall(r"\.\[([\w,]+)\]", pages)).split(",")
    assert set(named) <= set(extras)


def test_files_that_the_documents_tell_to_write_are_ignored_by_git() -> None:
    ignored = [line.lstrip("/") for line in (ROOT / ".gitignore").read_text("utf-8").split()]
    files = {
        word
        for command in COMMANDS
        if command.text.startswith(_typed(STUDIES))
        for word in command.words
        if re.fullmatch(r"[\w.-]+(?:\.(?:html|jsonl?|log|xml)|/)", word) and word != "logs/"
    }
    files |= set(re.findall(r"Save this as `(\S+)`", (ROOT / "README.md").read_text("utf-8")))
    assert {"bot.py", "dump.log", "monday.jsonl", "tables/"} <= files
    assert [file for file in sorted(files) if not any(fnmatch(file, line) for line in ignored)] == []


def test_the_bot_of_the_readme_answers_five_messages_once(tmp_path: Path) -> None:
    """With the Redis that the README starts; only its port is another one."""
    (start,) = [command for command in server_commands("redis") if command.page == "README.md"]
    address = "redis://localhost:6379/0"
    code = block("README.md", "python")
    assert address in code
    with _started([*start.words[1:], "--port", "0"], tmp_path) as redis:
        assert redis.stdout is not None
        url = redis.stdout.readline().strip().removeprefix("REDIS_URL=")
        (tmp_path / "bot.py").write_text(code.replace(address, url), "utf-8")
        with _started(["bot.py"], tmp_path) as bot:
            assert bot.stdout is not None
            lines = [line.rstrip() for line in itertools.islice(bot.stdout, 6)]
            bot.send_signal(signal.SIGINT)
            _, errors = bot.communicate(timeout=20)
    texts = ["hello", "are you there?", "one question", "are you open today?", "until when?"]
    assert lines == ["966500000001 You wrote:", *texts]
    assert errors == "", "Ctrl-C ends it quietly"


@contextlib.contextmanager
def _started(words: list[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run Python until the end of the block, with its output in pipes."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


@pytest.mark.parametrize("name", PARTS)
async def test_parts_of_a_deployment_start_and_end(
    name: str, redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    environment = {**QUICK, "REDIS_URL": redis_server.url, "AI": "echo"}
    for command in server_commands(name):
        async with running(
            *command.words[3:], environment=environment, folder=tmp_path, ready=PARTS[name]
        ) as part:
            part.signal(signal.SIGTERM)
            assert await part.wait_for_exit() == 0


@pytest.mark.skipif(
    not shutil.which("curl"), reason="docs/server.md sends its messages by curl, which is not here"
)
async def test_the_burst_is_one_turn_and_every_command_of_the_operator_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands run beside the server that answered the burst, which curl sends."""
    settings = {**QUICK, "QUEUE_WINDOW_MS": "1000"}
    async with running("serve", environment=settings, folder=tmp_path) as server:
        (burst,) = [command.text for command in COMMANDS if command.script]
        posting = ["bash", "-c", burst.replace("http://127.0.0.1:8080", server.url)]
        posted = await asyncio.to_thread(subprocess.check_output, posting, text=True, timeout=60)
        assert posted == '{"queued": 1}\n' * 3
        await server.wait_for_output("until when?")
        assert server.printed[0].endswith("966500000001, 3 messages:")
        assert [line.strip() for line in server.printed[1:]] == [
            "hello",
            "are you open today?",
            "until when?",
        ]
        monkeypatch.chdir(tmp_path)
        for name, value in settings.items():  # send-test finds the port by itself
            monkeypatch.setenv(name, value)
        async with connect((tmp_path / "data" / "redis.url").read_text().strip()) as client:
            queue = MessageQueue(client)
            for _ in range(2):  # messages of 1970 come too late, and become dead letters
                await queue.enqueue(
                    QueueMessage(instance_name="bot", user_phone="1", message="?", timestamp=1)
                )
            for command in [each for name in OPERATOR for each in server_commands(name)]:
                if "resume" in command.words:
                    await queue.holding.hold()
                ids = _damaged_id if "damaged" in command.words else _dead_id
                words = [
                    await (ids(queue) if word == "ID" else _value(word, server)) for word in command.words[3:]
                ]
                code = await asyncio.to_thread(queue_core.server.cli.main, words)
                assert code == 0, (command, capsys.readouterr())
        server.signal(signal.SIGTERM)
        assert await server.wait_for_exit() == 0


async def _dead_id(queue: MessageQueue) -> str:
    return (await queue.dead_letters())[0].id


async def _damaged_id(queue: MessageQueue) -> str:
    """Return the id of a damaged key; damage one if there is none."""
    message = QueueMessage(instance_name="bot", user_phone="2", message="?")
    if not [key async for key in queue.damage.iterate()]:
        stored = encode(message, queue.settings.max_message_bytes)
        await queue.redis.set(queue.keys.of("bot", "2").queue, stored)
        await queue.enqueue(message)
    ids = [key.id async for key in queue.damage.iterate()]
    return ids[0]


async def _value(word: str, server: Process) -> str:
    """Return what a reader puts in the place of a word in capitals."""
    match word:
        case "INSTANCE":
            return "bot"
        case "PHONE":
            return "966500000001"
        case "TAG":
            return str((await server.wait_for_event("turn completed"))["conversation"])
    return word
