"""CPU time that a webhook costs the web process, beside a bare handler with one RPUSH."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import requests
from redis import Redis

from queue_core.channels.evolution.example import PATH, example_webhook
from queue_core.redis_server.ports import claim_port
from tests.bench.speed.contenders import OURS, REPOSITORY
from tests.bench.speed.measuring import MeasurementError
from tests.bench.speed.program import TEXT

BARE = "a bare handler with one RPUSH"
PER_SECOND = 1_000
CONNECTIONS = 50
WARMING = 500
"""Webhooks before the first measurement."""
PATIENCE_S = 30.0


@dataclass(frozen=True)
class Acknowledged:
    """One repeat of the webhooks of one server."""

    cpu_us: float
    """CPU time of the server for a webhook."""
    acknowledged_ms: list[float]
    """Times from the intended moment of each post to its answer."""


@dataclass(frozen=True)
class Server:
    """A web server under test."""

    port: int
    process: psutil.Process

    def cpu_s(self) -> float:
        """Return the CPU time so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


def measure(server: Server, webhooks: int, tag: str) -> Acknowledged:
    """Post a number of webhooks at a steady rate."""
    began_s = server.cpu_s()
    acknowledged_ms = asyncio.run(_post_all(server.port, webhooks, tag))
    return Acknowledged((server.cpu_s() - began_s) * 1e6 / webhooks, acknowledged_ms)


async def _post_all(port: int, webhooks: int, tag: str) -> list[float]:
    posts = enumerate([_post(f"{tag}{number:010X}", number) for number in range(webhooks)])
    acknowledged_ms: list[float] = []
    began = time.perf_counter() + 0.1

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number, post in posts:
            due = began + number / PER_SECOND
            await asyncio.sleep(due - time.perf_counter())
            writer.write(post)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if b" 200 " not in head.split(b"\r\n")[0]:
                raise MeasurementError(f"a webhook was answered with {head.decode()!r}")
            length = head.split(b"content-length:")[1].split(b"\r\n")[0]
            await reader.readexactly(int(length))
            acknowledged_ms.append((time.perf_counter() - due) * 1000)
        writer.close()

    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    return acknowledged_ms


def _post(message_id: str, number: int) -> bytes:
    body = example_webhook(
        message_id, TEXT, phone=f"9665{number // 3:08d}", instance="bench", unix_s=int(time.time())
    )
    content = json.dumps(body).encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(content)}"
    return f"{head}\r\n\r\n".encode() + content


@contextmanager
def servers(url: str, against: tuple[str, Path] | None) -> Iterator[dict[str, Server]]:
    """Run the web servers that take turns, each ready and warm."""
    checkouts = {OURS: REPOSITORY} | (dict([against]) if against else {})
    with ExitStack() as stack:
        running = {}
        for name, checkout in checkouts.items():
            port = claim_port(0)
            command = ("-m", "queue_core", "web", "--port", str(port))
            running[name] = stack.enter_context(_server(command, checkout, url, port))
        port = claim_port(0)
        bare = ("-m", "tests.bench.speed.bare_web", url, str(port))
        running[BARE] = stack.enter_context(_server(bare, REPOSITORY, url, port))
        for server in running.values():
            measure(server, WARMING, "warm")
        Redis.from_url(url).flushall()
        yield running


@contextmanager
def _server(command: tuple[str, ...], checkout: Path, url: str, port: int) -> Iterator[Server]:
    environment = os.environ | {
        "PYTHONPATH": str(checkout),
        "REDIS_URL": url,
        "AI": "echo",
        "LOG_LEVEL": "error",
    }
    with tempfile.TemporaryDirectory() as folder:  # no .env
        process = subprocess.Popen([sys.executable, *command], env=environment, cwd=folder)
        try:
            _wait_for(process, port)
            yield Server(port, psutil.Process(process.pid))
        finally:
            process.terminate()
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    latest = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < latest:
        try:
            requests.get(f"http://127.0.0.1:{port}/healthz", timeout=1)
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return
    raise MeasurementError("a web server did not start; its output is above")
