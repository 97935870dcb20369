"""Repair of an append-only file with a torn end: a command or transaction that Redis was writing when killed.

With `aof-load-truncated yes`, Redis cuts off the last command only. The beginning of its transaction stays, and takes
effect at the next start but one. `redis-check-aof --fix` cuts from the first place that looks wrong to it. That may be
such a beginning that an earlier start left, or a damaged length, with confirmed writes behind it. So it is only asked
for that place, and what stands behind is read here.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

from queue_core.redis_server.binaries import EmbeddedRedisError

CHECKER = "redis-check-aof"
"""Name by which a redis-server, or a valkey-server, is called to check a file."""
_ANALYSIS = re.compile(r"AOF analyzed: (?:filename=(.+), )?size=\d+, ok_up_to=(\d+),")
_NUMBER = re.compile(rb"([*$])(\d{1,19})\r\n")
_NUMBER_BEGUN = re.compile(rb"(?:[*$]\d{0,19}\r?)?")
_COMMAND = re.compile(rb"\r\n\*\d+\r\n\$\d+\r\n")
"""Beginning of a command, behind the end of another one."""
_END = b"\r\n"


class DamagedFileError(Exception):
    """Raised where something else than the torn end of one write is wrong."""


def cut_torn_end(program: Path, file: Path, *, log: Callable[[str], object]) -> None:
    """Cut the torn end off an append-only file, or off the last one of a manifest, and write to the log what was done.

    Raises EmbeddedRedisError, and changes nothing, where the file is damaged in another way.
    """
    try:
        part, doubtful_at = _check(program, file, log)
        with part.open("r+b") as opened:
            opened.seek(doubtful_at)
            end = opened.read()
            at = torn_at(end)
            opened.truncate(doubtful_at + at)
            os.fsync(opened.fileno())
    except (DamagedFileError, OSError) as error:
        raise EmbeddedRedisError(
            f"{file} ends in the middle of a command, and is left as it is: {error}. Look at a copy of its folder with "
            f"`{CHECKER} {file}`; with --fix, it cuts off everything behind the place that it shows"
        ) from None
    log(f"cut {len(end) - at} bytes of a torn write off {part.name}, from byte {doubtful_at + at} on\n")


def _check(program: Path, file: Path, log: Callable[[str], object]) -> tuple[Path, int]:
    """Return the file whose end is torn, and where the first doubtful byte stands."""
    checked = subprocess.run(  # noqa: S603 - the program was found by us or named by the caller
        [CHECKER, file],
        executable=program,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,  # it says by a failure that the file is torn
    ).stdout.decode("utf-8", "replace")
    log(checked)
    analyses = _ANALYSIS.findall(checked)
    if not analyses:
        said = (checked.strip() or "it says nothing").splitlines()[-1]
        raise DamagedFileError(f"{program}, called as {CHECKER}, does not show where to cut ({said})")
    name, doubtful_at = analyses[-1]  # it stops there
    if name and name != _last_name(file):
        raise DamagedFileError(f"{name} is torn, but is not the last file")
    return file.with_name(name) if name else file, int(doubtful_at)


def torn_at(end: bytes) -> int:
    """Return where a torn command or transaction begins in the end of a file. Raises DamagedFileError if none does."""
    begin = at = 0
    in_transaction = False
    while (command := _read_command(end, at)) is not None:
        name, behind = command
        if name == b"MULTI":
            begin, in_transaction = at, True
        elif name == b"EXEC":
            in_transaction = False
        at = behind
        if not in_transaction:
            begin = at
    if begin == len(end):
        raise DamagedFileError(f"{CHECKER} does not show where to cut")
    return begin


def _read_command(data: bytes, at: int) -> tuple[bytes, int] | None:
    """Return the name of a command and where the next begins; None if the data end before. Raises DamagedFileError."""
    if data[at : at + 1] == b"#":  # a time
        next_line = data.find(b"\n", at) + 1
        return (b"", next_line) if next_line else None
    head = _read_number(data, at, b"*")
    if head is None:
        return None
    words: list[bytes] = []
    count, behind = head
    while len(words) < count:
        length = _read_number(data, behind, b"$")
        if length is None:
            return None
        begin, behind = length[1], sum(length) + len(_END)
        if behind > len(data):
            if _COMMAND.search(data, begin):
                raise DamagedFileError("whole commands stand behind what cannot be read")
            return None
        if data[behind - len(_END) : behind] != _END:
            raise DamagedFileError("a word has another length than the one that stands before it")
        words.append(data[begin : behind - len(_END)])
    return words[0].upper() if words else b"", behind


def _read_number(data: bytes, at: int, sign: bytes) -> tuple[int, int] | None:
    """Return the number after a sign, and where its line ends; None if the data end before. Raises DamagedFileError."""
    number = _NUMBER.match(data, at)
    if number and number[1] == sign:
        return int(number[2]), number.end()
    if _NUMBER_BEGUN.fullmatch(data, at):
        return None
    raise DamagedFileError("what stands behind is not a command")


def _last_name(manifest: Path) -> str:
    """Return the name of the last file in a manifest."""
    words = shlex.split(manifest.read_text("utf-8", "replace").splitlines()[-1])
    return words[1] if len(words) > 1 else ""
