"""The limit: script calls that do almost nothing, written in advance and sent a hundred at a time over a bare socket.

    python floor.py REDIS_URL MESSAGES CALLS

One call a message is the least for an enqueue, two are the least from enqueue to complete.
"""

from __future__ import annotations

import socket
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import hiredis

from tests.bench.speed.program import cpu_s, say

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


def main(url: str, messages: str, calls: str) -> None:
    """Make the calls, and say how long they took."""
    address = urlsplit(url)
    reader = hiredis.Reader()
    with socket.create_connection((address.hostname, address.port)) as connection:
        sha = exchange(connection, reader, command("SCRIPT", "LOAD", SCRIPT), 1)
        calls_at_once = command("EVALSHA", sha.decode(), "1", "bench") * AT_ONCE
        began_s, cpu_began = time.monotonic(), cpu_s()
        for _ in range(int(messages) * int(calls) // AT_ONCE):
            exchange(connection, reader, calls_at_once, AT_ONCE)
        say(began_s=began_s, ended_s=time.monotonic(), cpu_s=cpu_s() - cpu_began)


if __name__ == "__main__":
    main(*sys.argv[1:])
