"""The limit: calls that do almost nothing, over a bare socket.

    python floor.py calls REDIS_URL MESSAGES CALLS
    python floor.py trickle|work REDIS_URL MESSAGES TURN

`calls` sends script calls, written in advance, a hundred at a time: one a message is the least for an enqueue, two are
the least from enqueue to complete. `trickle` pushes the time onto a list, for `work`, which waits for it in BLPOP: no
pickup through Redis is shorter on this machine.
"""

from __future__ import annotations

import socket
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import hiredis

from tests.bench.speed.program import APART_S, cpu_s, say

SCRIPT = "return redis.call('INCR', KEYS[1])"
AT_ONCE = 100


def command(*words: str) -> bytes:
    """Return a command as it travels."""
    lines = [f"*{len(words)}"]
    for word in words:
        lines += [f"${len(word)}", word]
    return "".join(f"{line}\r\n" for line in lines).encode()


def exchange(connection: socket.socket, reader: hiredis.Reader, calls: bytes, count: int) -> Any:
    """Send a number of calls, wait for their answers, and return the last."""
    connection.sendall(calls)
    reply = None
    while count:
        reply = reader.gets()
        if reply is False:  # not a whole answer yet
            reader.feed(connection.recv(65_536))
        elif isinstance(reply, Exception):
            raise reply
        else:
            count -= 1
    return reply


def make_calls(connection: socket.socket, reader: hiredis.Reader, count: int) -> None:
    """Make calls, and say how long they took."""
    sha = exchange(connection, reader, command("SCRIPT", "LOAD", SCRIPT), 1)
    calls_at_once = command("EVALSHA", sha.decode(), "1", "bench") * AT_ONCE
    began_s, cpu_began = time.monotonic(), cpu_s()
    for _ in range(count // AT_ONCE):
        exchange(connection, reader, calls_at_once, AT_ONCE)
    say(began_s=began_s, ended_s=time.monotonic(), cpu_s=cpu_s() - cpu_began)


def trickle(connection: socket.socket, reader: hiredis.Reader, messages: int) -> None:
    """Push the time, message by message."""
    for _ in range(messages):
        exchange(connection, reader, command("RPUSH", "bench", str(time.monotonic())), 1)
        time.sleep(APART_S)
    say()


def work(connection: socket.socket, reader: hiredis.Reader, messages: int) -> None:
    """Wait for each message, and say how long they were on their way."""
    say(ready=True)
    picked_up_ms = []
    for _ in range(messages):
        _, sent_s = exchange(connection, reader, command("BLPOP", "bench", "0"), 1)
        picked_up_ms.append((time.monotonic() - float(sent_s)) * 1000)
    say(picked_up_ms=picked_up_ms)


def main(mode: str, url: str, messages: str, calls: str) -> None:
    """Do what the benchmark asks for."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        reader = hiredis.Reader()
        if mode == "calls":
            make_calls(connection, reader, int(messages) * int(calls))
        else:
            {"trickle": trickle, "work": work}[mode](connection, reader, int(messages))


if __name__ == "__main__":
    main(*sys.argv[1:])
