"""Round trips: a synthetic day, written as each provider's webhooks are logged, is imported with the same arrivals."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from queue_core.recording.format import Arrival, Recording
from sim.importers.spreading import UNIT_MS
from tests.sim.importers.writers import SHAPES, Importing, Shape, bodies, iso

Write = Callable[[Path, Recording, Shape], Path]


def arrivals_of(recording: Recording, unit_ms: int) -> list[tuple[int, int, int, int]]:
    """Return arrivals as the time in units, a number each for conversation and id, and the text's length."""
    conversations: dict[object, int] = {}
    ids: dict[object, int] = {}
    rows = []
    for arrival in sorted(recording.arrivals, key=lambda each: each.at_ms):
        conversation = conversations.setdefault((arrival.instance, arrival.phone), len(conversations))
        message_id = ids.setdefault((conversation, arrival.id), len(ids))
        length = len(arrival.text) if arrival.characters is None else arrival.characters
        rows.append(((recording.epoch_ms + arrival.at_ms) // unit_ms, conversation, message_id, length))
    return rows


def by_conversation(recording: Recording, unit_ms: int) -> list[list[tuple[int, int]]]:
    """Return arrivals by conversation: within a second, only those of one conversation have a known order."""
    conversations: dict[object, list[tuple[int, int]]] = {}
    for arrival in sorted(recording.arrivals, key=lambda each: each.at_ms):
        length = len(arrival.text) if arrival.characters is None else arrival.characters
        row = ((recording.epoch_ms + arrival.at_ms) // unit_ms, length)
        conversations.setdefault((arrival.instance, arrival.phone), []).append(row)
    return sorted(conversations.values())


def as_lines(path: Path, day: Recording, shape: Shape) -> Path:
    path.write_text("".join(f"{body}\n" for _, body in bodies(day, shape)), "utf-8")
    return path


@pytest.mark.parametrize("name", SHAPES)
def test_webhooks_of_each_provider_are_imported_with_the_same_arrivals(
    name: str, day: Recording, imported: Importing, tmp_path: Path
) -> None:
    shape = SHAPES[name]
    recording, work = imported(as_lines(tmp_path / "dump.log", day, shape))
    unit_ms = UNIT_MS[shape.precision]
    assert by_conversation(recording, unit_ms) == by_conversation(day, unit_ms)
    assert recording.precision == shape.precision
    assert not work.summary.left_out
    if shape.precision == "ms":
        assert arrivals_of(recording, 1) == arrivals_of(day, 1)


def as_array(path: Path, day: Recording, shape: Shape) -> Path:
    path.write_text("[" + ",\n ".join(body for _, body in bodies(day, shape)) + "]", "utf-8")
    return path


def as_indented_array(path: Path, day: Recording, shape: Shape) -> Path:
    path.write_text(json.dumps([json.loads(body) for _, body in bodies(day, shape)], indent=2), "utf-8")
    return path


def as_indented_objects(path: Path, day: Recording, shape: Shape) -> Path:
    texts = (json.dumps(json.loads(body), indent=4) for _, body in bodies(day, shape))
    path.write_text("\n".join(texts), "utf-8")
    return path


def as_files(path: Path, day: Recording, shape: Shape) -> Path:
    path.mkdir()
    for number, (_, body) in enumerate(bodies(day, shape)):
        (path / f"{number:05d}.json").write_text(
            json.dumps(json.loads(body), indent=1 if number % 2 else None), "utf-8"
        )
    return path


def as_gzip(path: Path, day: Recording, shape: Shape) -> Path:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(f"{body}\n" for _, body in bodies(day, shape))
    return path


def as_zip(path: Path, day: Recording, shape: Shape) -> Path:
    lines = [f"{body}\n" for _, body in bodies(day, shape)]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("logs/1.log", "".join(lines[:100]))
        archive.writestr("logs/2.log", "".join(lines[100:]))
        archive.writestr("__MACOSX/._1.log", b"\0\1")
    return path


def as_utf16(path: Path, day: Recording, shape: Shape) -> Path:
    path.write_text("".join(f"{body}\r\n" for _, body in bodies(day, shape)), "utf-16")
    return path


def as_wrapped(path: Path, day: Recording, shape: Shape) -> Path:
    """As pino writes it: the body as an object or as text, with a time of the log beside it."""
    with path.open("w", encoding="utf-8") as file:
        for number, (at_ms, body) in enumerate(bodies(day, shape)):
            content = json.loads(body) if number % 2 else body
            file.write(json.dumps({"level": 30, "time": at_ms, "msg": "webhook", "body": content}) + "\n")
    return path


def as_docker_log(path: Path, day: Recording, shape: Shape) -> Path:
    with path.open("w", encoding="utf-8") as file:
        for at_ms, body in bodies(day, shape):
            entry = {"log": f"webhook {body}\n", "stream": "stdout", "time": iso(at_ms, "456789Z")}
            file.write(json.dumps(entry) + "\n")
    return path


def as_prefixed(path: Path, day: Recording, shape: Shape) -> Path:
    with path.open("w", encoding="utf-8") as file:
        for at_ms, body in bodies(day, shape):
            file.write(f"{iso(at_ms, '123456Z')} INFO [webhook] received {body} from 10.0.0.1\n")
            file.write(f"{iso(at_ms, '123456Z')} INFO answered 200\n")
    return path


def as_prefixed_in_local_time(path: Path, day: Recording, shape: Shape) -> Path:
    with path.open("w", encoding="utf-8") as file:
        for at_ms, body in bodies(day, shape):
            file.write(f"[{iso(at_ms + 2 * 3600_000, '', ' ').replace('.', ',')}] {body}\n")
    return path


def as_prefixed_and_indented(path: Path, day: Recording, shape: Shape) -> Path:
    with path.open("w", encoding="utf-8") as file:
        for at_ms, body in bodies(day, shape):
            lines = json.dumps(json.loads(body), indent=2).split("\n")
            file.write(f"{iso(at_ms)} Webhook: {lines[0]}\n")
            file.writelines(f"{iso(at_ms)} {line}\n" for line in lines[1:])
    return path


@pytest.mark.parametrize(
    "write",
    [as_array, as_indented_array, as_indented_objects, as_files, as_gzip, as_zip, as_utf16],
)
def test_webhooks_stored_in_any_way_are_imported_with_the_same_arrivals(
    write: Write, day: Recording, imported: Importing, tmp_path: Path
) -> None:
    shape = SHAPES["evolution v2"]
    recording, work = imported(write(tmp_path / "dump", day, shape))
    assert arrivals_of(recording, 1) == arrivals_of(day, 1)
    assert not work.summary.left_out


def as_python_prints(path: Path, day: Recording, shape: Shape) -> Path:
    """With the time as Python's logging writes it."""
    with path.open("w", encoding="utf-8") as file:
        for at_ms, body in bodies(day, shape):
            file.write(f"{iso(at_ms, '', ' ').replace('.', ',')} INFO webhook: {json.loads(body)!r}\n")
    return path


@pytest.mark.parametrize(
    "write",
    [
        as_python_prints,
        as_wrapped,
        as_docker_log,
        as_prefixed,
        as_prefixed_in_local_time,
        as_prefixed_and_indented,
    ],
)
@pytest.mark.parametrize("name", ["evolution v1", "cloud"])
def test_the_time_of_the_log_is_the_time_of_arrival(
    write: Write, name: str, day: Recording, imported: Importing, tmp_path: Path
) -> None:
    """The webhooks have whole seconds; the log's milliseconds win."""
    recording, _ = imported(write(tmp_path / "dump.log", day, SHAPES[name]))
    assert arrivals_of(recording, 1) == arrivals_of(day, 1)
    assert recording.precision == "ms"


@pytest.mark.skipif(shutil.which("zstd") is None, reason="no program zstd")
def test_a_file_packed_by_zstd_is_imported(day: Recording, imported: Importing, tmp_path: Path) -> None:
    plain = as_lines(tmp_path / "dump.log", day, SHAPES["waha"])
    subprocess.run(["zstd", "-q", "--rm", str(plain)], check=True)
    recording, _ = imported(tmp_path / "dump.log.zst")
    assert arrivals_of(recording, 1) == arrivals_of(day, 1)


def test_whole_seconds_are_spread_in_order_and_equal_seeds_give_equal_moments(
    day: Recording, imported: Importing, tmp_path: Path
) -> None:
    path = as_lines(tmp_path / "dump.log", day, SHAPES["cloud"])
    first, work = imported(path, seed=5)
    assert first == imported(path, seed=5)[0]
    assert first.arrivals != imported(path, seed=6)[0].arrivals
    assert work.summary.coarse == len(day.arrivals)
    moments = [(first.epoch_ms + arrival.at_ms) % 1000 for arrival in first.arrivals]
    assert sum(ms >= 500 for ms in moments) == pytest.approx(len(moments) / 2, rel=0.3)
    kept, _ = imported(path, keeps_seconds=True)
    assert {(kept.epoch_ms + arrival.at_ms) % 1000 for arrival in kept.arrivals} == {0}
    assert kept.precision == "s"


def test_a_part_of_the_spread_day_has_the_moments_of_the_whole(
    day: Recording, imported: Importing, tmp_path: Path
) -> None:
    path = as_lines(tmp_path / "dump.log", day, SHAPES["cloud"])
    whole, _ = imported(path)
    middle_ms = day.epoch_ms + 3600_000
    part, work = imported(path, from_ms=middle_ms)
    moments = {
        (a.id, whole.epoch_ms + a.at_ms) for a in whole.arrivals if whole.epoch_ms + a.at_ms >= middle_ms
    }
    assert {(a.id, part.epoch_ms + a.at_ms) for a in part.arrivals} == moments
    assert work.summary.left_out["before --from"] == len(whole.arrivals) - len(part.arrivals)


def test_moments_of_one_second_keep_the_order_of_the_file(imported: Importing, tmp_path: Path) -> None:
    path = tmp_path / "dump.log"
    with path.open("w") as file:
        for number in range(40):
            arrival = Arrival(0, "shop", "966500000001", f"m{number}", "x" * (number + 1), "text", 0)
            body = SHAPES["cloud"].body(arrival, 1_772_360_400_000)
            file.write(json.dumps(body) + "\n")
    recording, _ = imported(path)
    ordered = sorted(recording.arrivals, key=lambda arrival: arrival.at_ms)
    assert [arrival.characters for arrival in ordered] == list(range(1, 41))
    assert all(before.at_ms <= after.at_ms for before, after in pairwise(recording.arrivals))
