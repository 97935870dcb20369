"""Hostile and damaged files: refused with a reason and exit code 2, or imported without the damaged parts."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from queue_core.recording.reader import load
from sim.cli import main
from sim.importers import sources, unpacking

BODY = {
    "event": "messages.upsert",
    "instance": "shop",
    "data": {
        "key": {"remoteJid": "5547900000001@s.whatsapp.net", "fromMe": False, "id": "M1"},
        "message": {"conversation": "oi"},
        "messageTimestamp": 1746132673,
    },
}
LINE = json.dumps(BODY)


def refused(capsys: pytest.CaptureFixture[str], path: Path, *options: str) -> str:
    """Import a file that cannot be imported, and return the error."""
    target = path.parent / "refused.jsonl"
    assert main(["import", str(path), "-o", str(target), *options]) == 2
    assert not target.exists()
    said = capsys.readouterr().err
    assert said.startswith("sim: ")
    assert said.count("\n") == 1
    return said


def count_imported(path: Path, *options: str) -> int:
    target = path.parent / "out.jsonl"
    assert main(["import", str(path), "-o", str(target), "--quiet", *options]) == 0
    return len(load([target])[0].arrivals)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n\n", "has an unknown format"),
        (b"hello\n", 'it begins with "hello"'),
        (b"\x00\x01\x02\x03" * 100, "bytes that are not text (00 01 02 03"),
        (b"\x1b[31mred\n", "\\x1b[31mred"),
        (b"[", "has an unknown format"),
        (b"{" * 100_000, "has an unknown format"),
        (b"[" * 100_000, "has an unknown format"),
        (b'{"a":' * 50_000, "has an unknown format"),
        (LINE[:60].encode(), "has an unknown format"),
        (b'{"event":"recording","version":2}\n', "holds no message"),
        (b"\x1f\x8b\x08\x00" + b"garbage" * 50, "x: cannot be unpacked, since it is damaged"),
        (b"PK\x03\x04garbage", "cannot be unpacked, since it is damaged"),
        (b"\xff\xfe" + LINE.encode("utf-16-le")[:-1], "its bytes are not text in UTF-16"),
        (b"\0" * 257 + b"ustar" + b"\0" * 600, "is a tar archive"),
    ],
)
def test_each_damaged_file_is_refused_with_the_reason(
    content: bytes, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    assert words in refused(capsys, path)


def test_a_missing_path_and_an_empty_folder_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "does not exist" in refused(capsys, tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    assert "is a folder without files" in refused(capsys, tmp_path / "empty")


def test_a_gzip_that_is_cut_off_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.gz"
    packed = gzip.compress(("\n".join(f"{number} {LINE}" for number in range(2000))).encode())
    path.write_bytes(packed[: len(packed) // 2])
    assert "x.gz: is cut off in the middle" in refused(capsys, path)


@pytest.mark.skipif(shutil.which("zstd") is None, reason="no program zstd")
def test_a_zstd_that_is_cut_off_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.zst"
    text = "\n".join(f"{number} {LINE}" for number in range(2000)).encode()
    packed = subprocess.run(["zstd", "-qc"], input=text, capture_output=True, check=True).stdout
    path.write_bytes(packed[: len(packed) // 2])
    assert "cut off or damaged" in refused(capsys, path)


def test_a_zip_with_a_password_and_a_damaged_zip_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.log", LINE)
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the bit that says that the file is encrypted, in both headers
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    assert "is protected by a password" in refused(capsys, path)
    content = bytearray(path.read_bytes())
    path.write_bytes(content[:20])
    assert "is damaged" in refused(capsys, path)


def test_an_archive_that_unpacks_to_far_more_than_a_log_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A zip is refused before anything is unpacked."""
    bomb = f"{LINE}\n".encode() + b" " * 8_000_000
    packed = tmp_path / "bomb.gz"
    packed.write_bytes(gzip.compress(bomb))
    assert count_imported(packed) == 1
    monkeypatch.setattr(unpacking, "RATIO_FROM_BYTES", 1_000_000)
    assert "unpacks to more than 200 times its size" in refused(capsys, packed)
    monkeypatch.setattr(unpacking, "UNPACKED_BYTES_MAX", 4_000_000)
    monkeypatch.setattr(unpacking, "RATIO_MAX", 10_000)
    assert "unpacks to more than" in refused(capsys, packed)
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.log", bomb)
    assert "unpacks to more than" in refused(capsys, archive)


def test_archives_may_be_packed_three_times_and_no_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = LINE.encode()
    for _ in range(3):
        content = gzip.compress(content)
    path = tmp_path / "x.gz"
    path.write_bytes(content)
    assert count_imported(path) == 1
    path.write_bytes(gzip.compress(content))
    assert "archives within archives" in refused(capsys, path)


def test_huge_lines_are_left_out_in_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "LINE_BYTES_MAX", 1_000_000)
    path = tmp_path / "x.log"
    with path.open("w") as file:
        file.write(f"{LINE}\n")
        for _ in range(40):
            file.write("x" * 1_000_000)
        file.write(f"\n{LINE.replace('M1', 'M2')}\n")
    tracemalloc.start()
    assert count_imported(path) == 2
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


def test_damaged_lines_are_counted_by_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.log"
    lines = [
        LINE.encode(),
        LINE[:90].encode(),
        b"not a webhook",
        LINE.replace("oi", "ol\u00e1").replace("M1", "M2").encode().replace(b"\\u00e1", "á".encode("cp1252")),
        json.dumps({**BODY, "data": {"key": {}}}).encode(),
        json.dumps({**BODY, "data": []}).encode(),
        b'{"event": 1}',
        b"\xff\xfe\xfa",
        LINE.replace("M1", "M3").replace("1746132673", "9000000000000").encode(),
    ]
    path.write_bytes(b"\n".join(lines))
    assert main(["import", str(path), "-o", str(tmp_path / "out.jsonl"), "--explain", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["events"] == {"message": 2}
    (file,) = summary["files"]
    assert {reason: entry["places"] for reason, entry in file["left_out"].items()} == {
        "the line ends in the middle of a webhook": [2],
        "no webhook in the line": [3, 8],
        "a message that cannot be read": [5],
        "a webhook that the bot would refuse": [6],
        "no webhook in it": [7],
        "a time outside the years 1970 to 2199": [9],
    }
    assert "Some lines are not UTF-8: they are read as Windows-1252." in file["notes"]
    header = json.loads((tmp_path / "out.jsonl").read_text("utf-8").splitlines()[0])
    assert header["left_out"] == {reason: entry["number"] for reason, entry in file["left_out"].items()}


def test_a_broken_array_keeps_what_comes_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.json"
    path.write_text(f"[{LINE}, {LINE.replace('M1', 'M2')}, {LINE[:50]}")
    assert count_imported(path) == 2
    path.write_text(f"[{LINE}, {LINE.replace('M1', 'M2')}, }}{LINE}]" + " " * 100)
    assert count_imported(path) == 2
    assert main(["import", str(path), "-o", str(tmp_path / "out.jsonl")]) == 0
    assert "1 of: is not JSON" in capsys.readouterr().out


def test_text_between_objects_costs_none_of_the_objects(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    objects = [json.dumps(BODY, indent=2).replace("M1", f"M{number}") for number in range(3)]
    path.write_text(f"{objects[0]}\n200 OK {{\n{'x' * 700_000}\n{objects[1]}\n}}}}\n{objects[2]}\n")
    assert count_imported(path) == 3


def test_an_object_that_does_not_end_costs_no_webhook_after_it(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    log = [
        "2025-05-01T20:51:14Z listening {",
        "  port: 8080,",
        "  host: 'a'",
        f"{LINE}",
        "2025-05-01T20:51:15Z got {",
        "}",
    ]
    path.write_text("\n".join([*log, LINE.replace("M1", "M2")]))
    assert count_imported(path) == 2


def test_hidden_files_and_folders_of_an_archive_are_not_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "logs.zip", "w") as archive:
        for name in ("./a.log", "sub/.x/b.log", ".c.log", ".git/sub/d.log"):
            archive.writestr(name, LINE)
    assert count_imported(tmp_path / "logs.zip") == 1


def test_unknown_files_in_a_folder_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.log").write_text(LINE)
    (folder / "notes.txt").write_text("a remark")
    (folder / ".hidden").write_text(LINE)
    assert main(["import", str(folder), "-o", str(tmp_path / "out.jsonl"), "--explain"]) == 0
    assert "notes.txt: 1 of: a file of no known format" in capsys.readouterr().out
    assert len(load([tmp_path / "out.jsonl"])[0].arrivals) == 1
