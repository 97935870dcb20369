"""A torn write is cut off an append-only file; other damage is reported."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import pytest
import redis

from queue_core.redis_server import embedded
from queue_core.redis_server.binaries import EmbeddedRedisError, find_all_redis_servers
from queue_core.redis_server.embedded import LOCK_NAME, LOG_NAME, TORN_FILE_WORDS, EmbeddedRedis
from queue_core.redis_server.torn import DamagedFileError, cut_torn_end, torn_at

SERVERS = {binary.version: binary.path for binary in find_all_redis_servers()}
IN_PARTS = [version for version in SERVERS if int(version.split(".")[0]) >= 7]
SCRIPT = "redis.call('SET', KEYS[1], 1) redis.call('SET', KEYS[2], 1)"
on_all = pytest.mark.parametrize("version", SERVERS)


def packed(*words: str) -> bytes:
    """A command as it stands in the file."""
    parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
    return f"*{len(words)}\r\n{''.join(parts)}".encode()


PLAIN = packed("SET", "key", "two\r\nlines, *3\r\n in all")
TRANSACTION = packed("MULTI") + PLAIN + packed("DEL", "") + packed("exec")
HALF = packed("MULTI") + packed("SET", "half", "1")


def server_on(folder: Path | None, version: str, **config: str) -> EmbeddedRedis:
    return EmbeddedRedis(
        folder, server=SERVERS[version], append_only=True, append_fsync="always", config=config
    )


def file_of(server: EmbeddedRedis) -> Path:
    (file,) = [*server.data_dir.glob("*/*.incr.aof"), *server.data_dir.glob("*.aof")]
    return file


def tear(server: EmbeddedRedis, length: int = 8) -> Path:
    """Kill a server, and cut the last bytes of its file."""
    server.kill()
    file = file_of(server)
    os.truncate(file, file.stat().st_size - length)
    return file


def keys_of(server: EmbeddedRedis) -> set[bytes]:
    with redis.Redis.from_url(server.url) as client:
        return set(client.keys())


def run_scripts(server: EmbeddedRedis, *names: str) -> set[bytes]:
    """Carry out a script for each name, and return the keys that they write."""
    with redis.Redis.from_url(server.url) as client:
        for name in names:
            client.eval(SCRIPT, 2, name, f"{name} too")
    return {key.encode() for name in names for key in (name, f"{name} too")}


def test_the_last_write_is_cut_wherever_it_was_torn() -> None:
    writes = [PLAIN, TRANSACTION, b"#TS:1790000000\r\n", PLAIN, TRANSACTION]
    data, ends = b"".join(writes), set(accumulate(map(len, writes)))
    for length in range(1, len(data)):
        if length in ends:
            continue
        assert torn_at(data[:length]) == max([0, *(end for end in ends if end < length)]), length


@pytest.mark.parametrize("end", [PLAIN[:-1], TRANSACTION[:-1], HALF, TRANSACTION[:30]])
def test_the_beginning_of_a_transaction_that_an_earlier_start_left_stays(end: bytes) -> None:
    """Confirmed writes stand behind it."""
    confirmed = HALF + TRANSACTION * 2
    assert torn_at(confirmed + end) == len(confirmed)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (PLAIN.replace(b"$3", b"$9000", 1) + TRANSACTION, "whole commands stand behind"),
        (packed("MULTI") + PLAIN.replace(b"$3", b"$9000", 1) + TRANSACTION, "whole commands stand behind"),
        (PLAIN.replace(b"$3", b"$4", 1) + PLAIN, "another length"),
        (PLAIN + b"\0" * 50, "not a command"),
        (HALF + b"*1\r\n*1\r\n", "not a command"),
        (PLAIN + TRANSACTION, "does not show"),
    ],
)
def test_other_damage_is_not_taken_for_a_torn_write(end: bytes, words: str) -> None:
    with pytest.raises(DamagedFileError, match=words):
        torn_at(end)


@on_all
def test_a_beginning_that_an_earlier_start_left_costs_nothing_that_was_confirmed(
    version: str, tmp_path: Path
) -> None:
    """`redis-check-aof --fix` would cut from there on."""
    with server_on(tmp_path, version, **{"aof-load-truncated": "yes"}) as server:
        run_scripts(server, "left")
        tear(server)
        server.start()
        confirmed = run_scripts(server, *"abc")
    with server_on(tmp_path, version) as server:
        run_scripts(server, "torn")
        tear(server)
        server.start()
        assert keys_of(server) == {b"left", b"left too", *confirmed}


@on_all
@pytest.mark.parametrize("in_transaction", [False, True])
def test_a_damaged_length_is_reported_not_cut(version: str, tmp_path: Path, *, in_transaction: bool) -> None:
    """Redis reads to the end of the file then, and says the words of a torn write."""
    with server_on(tmp_path, version) as server:
        with redis.Redis.from_url(server.url) as client, client.pipeline(in_transaction) as pipeline:
            pipeline.set("first", "value").set("second", 2).execute()
        run_scripts(server, *"abc")
        server.kill()
        file = file_of(server)
        damaged = file.read_bytes().replace(b"$5\r\nvalue", b"$5000\r\nvalue")
        file.write_bytes(damaged)
        with pytest.raises(EmbeddedRedisError, match="left as it is: whole commands stand behind"):
            server.start()
        assert file.read_bytes() == damaged


@on_all
def test_files_with_other_names_are_cut(version: str, tmp_path: Path) -> None:
    config = {"appendfilename": "other name.aof"}
    if version in IN_PARTS:
        config["appenddirname"] = "other folder"
    with server_on(tmp_path / "with a gap", version, **config) as server:
        confirmed = run_scripts(server, "whole")
        run_scripts(server, "torn")
        tear(server)
        server.start()
        assert keys_of(server) == confirmed
        assert "of a torn write off other name.aof" in (server.data_dir / LOG_NAME).read_text()


@pytest.mark.parametrize("version", IN_PARTS)
def test_a_file_that_others_follow_is_not_cut(version: str, tmp_path: Path) -> None:
    with server_on(tmp_path, version) as server:
        run_scripts(server, "torn")
        file = tear(server)
        (manifest,) = tmp_path.glob("*/*.manifest")
        following = re.sub(
            r"\.1\.incr\.aof seq 1", ".2.incr.aof seq 2", manifest.read_text().splitlines()[-1]
        )
        manifest.write_text(f"{manifest.read_text()}{following}\n")
        file.with_name(following.split()[1]).write_bytes(b"")
        torn = file.read_bytes()
        with pytest.raises(EmbeddedRedisError, match=r"incr\.aof is torn, but is not the last file"):
            server.start()
        assert file.read_bytes() == torn


@on_all
def test_a_program_that_only_calls_the_server_is_named(version: str, tmp_path: Path) -> None:
    """A shell script does not hand on the name by which it was called."""
    script = tmp_path / "redis-server"
    script.write_text(f'#!/bin/sh\nexec "{SERVERS[version]}" "$@"\n')
    script.chmod(0o700)
    with EmbeddedRedis(tmp_path / "data", server=script, append_only=True) as server:
        run_scripts(server, "torn")
        file = tear(server)
        torn = file.read_bytes()
        with pytest.raises(
            EmbeddedRedisError, match=f"{script}, called as redis-check-aof, does not show where"
        ):
            server.start()
        assert file.read_bytes() == torn


def test_a_file_that_cannot_be_opened_is_reported_in_the_words_of_the_checker(tmp_path: Path) -> None:
    checker = tmp_path / "redis-server"
    checker.write_text("#!/bin/sh\necho Cannot open file: Permission denied, aborting...\nexit 1\n")
    checker.chmod(0o700)
    log: list[str] = []
    with pytest.raises(EmbeddedRedisError, match="Permission denied"):
        cut_torn_end(checker, tmp_path / "appendonly.aof", log=log.append)
    assert len(log) == 1


def test_a_file_that_another_server_writes_is_not_touched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The other one may have said the words of a torn write meanwhile, when it was started."""
    lock = embedded._lock

    def slow_lock(folder: Path) -> object:
        with (folder / LOG_NAME).open("ab") as log:
            log.write(TORN_FILE_WORDS)
        return lock(folder)

    with server_on(tmp_path, next(iter(SERVERS))) as server:
        run_scripts(server, "under way")
        file = file_of(server)
        os.truncate(file, file.stat().st_size - 8)
        writing = file.read_bytes()
        monkeypatch.setattr(embedded, "LOCK_WAIT_S", 0.0)
        monkeypatch.setattr(embedded, "_lock", slow_lock)
        with pytest.raises(EmbeddedRedisError, match="in use by another redis-server"):
            EmbeddedRedis(tmp_path).start()
        assert file.read_bytes() == writing


def test_no_other_server_starts_while_the_file_is_cut(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cut: Callable[..., None] = cut_torn_end
    was_locked = []

    def locked_cut(*args: object, **options: object) -> None:
        with (tmp_path / LOCK_NAME).open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                was_locked.append(True)
        cut(*args, **options)

    monkeypatch.setattr(embedded, "cut_torn_end", locked_cut)
    with server_on(tmp_path, next(iter(SERVERS))) as server:
        run_scripts(server, "torn")
        tear(server)
        server.start()
        assert keys_of(server) == set()
    assert was_locked == [True]


def test_words_in_the_log_of_an_earlier_start_cut_nothing(tmp_path: Path) -> None:
    with server_on(tmp_path, next(iter(SERVERS))) as server:
        run_scripts(server, "torn")
        torn = tear(server).read_bytes()
        with (tmp_path / LOG_NAME).open("ab") as log:
            log.write(TORN_FILE_WORDS + b"\n")
        with pytest.raises(EmbeddedRedisError, match="ended with code 1"):
            server_on(tmp_path, server.binary.version, **{"no-such-directive": "1"}).start()
        assert file_of(server).read_bytes() == torn


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / LOG_NAME).mkdir()
    with pytest.raises(EmbeddedRedisError, match=r"cannot be a folder of data \(is a directory\)"):
        EmbeddedRedis(tmp_path).start()
