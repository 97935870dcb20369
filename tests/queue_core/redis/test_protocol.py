"""Redis's protocol: commands out, answers in, with hiredis and without."""

from __future__ import annotations

import random
from typing import Any

import pytest
from redis import exceptions

from queue_core.redis.protocol import PUSHES, UNFINISHED, PlainReader, Reader, new_reader, pack

ANSWERS = (
    b"$5\r\nhello\r\n*3\r\n:1\r\n$-1\r\n*2\r\n$0\r\n\r\n$4\r\na\r\nb\r\n:-17\r\n+OK\r\n*-1\r\n_\r\n*0\r\n"
    b"-NOSCRIPT No matching script\r\n>2\r\n+hey\r\n:5\r\n-ERR oh\r\n$70000\r\n%b\r\n*1\r\n-OOM full\r\n"
    b"%%2\r\n$1\r\na\r\n*1\r\n:1\r\n$1\r\nb\r\n%%0\r\n"
) % (b"x\r\n" + b"y" * 69_997)


@pytest.mark.parametrize(
    ("command", "packed"),
    [
        (("PING",), b"*1\r\n$4\r\nPING\r\n"),
        (("SET", "ключ", b"\xff\r\n"), "*3\r\n$3\r\nSET\r\n$8\r\nключ\r\n$3\r\n".encode() + b"\xff\r\n\r\n"),
        (("X", "", 0, -17), b"*4\r\n$1\r\nX\r\n$0\r\n\r\n$1\r\n0\r\n$3\r\n-17\r\n"),
    ],
)
def test_commands_are_packed_as_the_protocol_requires(
    command: tuple[str | bytes | int, ...], packed: bytes
) -> None:
    assert pack(command) == packed


def read(reader: Reader, rng: random.Random) -> list[Any]:
    answers: list[Any] = []
    at = 0
    while at < len(ANSWERS):
        size = rng.choice([1, 2, 7, 100, 50_000])
        reader.feed(ANSWERS[at : at + size])
        at += size
        while (answer := reader.gets()) is not UNFINISHED:
            answers.append(("push", [*answer]) if isinstance(answer, PUSHES) else repr(answer))
    return answers


def test_both_readers_read_the_same_from_pieces_of_any_size() -> None:
    for seed in range(20):
        plain, fast = (read(reader, random.Random(seed)) for reader in (PlainReader(), new_reader()))
        assert plain == fast
        assert len(plain) == 13


@pytest.mark.parametrize("garbage", [b"?x\r\n", b"$x\r\n", b"*1\r\n!!\r\n", b"\r\n"])
@pytest.mark.parametrize("kind", [PlainReader, new_reader])
def test_what_is_not_the_protocol_is_an_error(garbage: bytes, kind: Any) -> None:
    reader = kind()
    reader.feed(b":1\r\n" + garbage)
    assert reader.gets() == 1
    with pytest.raises(exceptions.InvalidResponse):
        reader.gets()
