"""Privacy of imports: nothing shows who wrote or what, unless texts are asked for; secrets never appear."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from queue_core.recording.pseudonyms import Pseudonyms
from queue_core.recording.reader import load
from sim.cli import main

PHONE = "5547900000001"
SECRETS = ("SECRET-KEY", "SECRET-TOKEN", "SECRET-TEXT", "SECRET-NAME", "SECRET-URL", PHONE, "3EB0ABCDEF")


def dump(path: Path) -> Path:
    bodies = [
        {
            "event": "messages.upsert",
            "instance": "shop-5547911112222",
            "apikey": "SECRET-KEY",
            "server_url": "https://SECRET-URL",
            "date_time": "2025-05-01T17:51:14.031Z",
            "data": {
                "key": {"remoteJid": f"{PHONE}@s.whatsapp.net", "fromMe": own, "id": f"3EB0ABCDEF{number}"},
                "pushName": "SECRET-NAME",
                "message": {"conversation": f"SECRET-TEXT {number}"},
                "messageTimestamp": 1746132673,
            },
        }
        for number, own in enumerate((False, False, True))
    ]
    bodies[1]["data"]["message"] = {"protocolMessage": {"key": {"id": "3EB0ABCDEF0"}, "type": "REVOKE"}}  # type: ignore[index] # a mapping of the test
    lines = [
        f"2025-05-01T20:51:14.031Z Authorization: Bearer SECRET-TOKEN {json.dumps(body)}" for body in bodies
    ]
    path.write_text("\n".join([*lines, f"a line about {PHONE} and SECRET-TEXT"]))
    return path


def test_nothing_shows_who_wrote_or_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "x.jsonl"
    assert main(["import", str(dump(tmp_path / "dump.log")), "-o", str(target), "--explain"]) == 0
    for shown in (target.read_text("utf-8"), capsys.readouterr().out):
        assert not [secret for secret in SECRETS if secret in shown]
    content = re.sub(r'"(at|timestamp)":"[^"]+"', "", target.read_text("utf-8"))
    assert not re.search(r"\d{5,}", content)
    (recording,) = load([target])
    assert recording.arrivals[0].characters == len("SECRET-TEXT 0")
    assert recording.arrivals[0].text == ""


def test_texts_are_kept_on_request(tmp_path: Path) -> None:
    target = tmp_path / "x.jsonl"
    assert main(["import", str(dump(tmp_path / "dump.log")), "-o", str(target), "--text"]) == 0
    content = target.read_text("utf-8")
    assert [secret for secret in SECRETS if secret in content] == ["SECRET-TEXT"]


def phones(path: Path, *options: str) -> set[str]:
    target = path.with_suffix(".jsonl")
    assert main(["import", str(path), "-o", str(target), "--quiet", *options]) == 0
    return {arrival.phone for arrival in load([target])[0].arrivals}


def test_a_key_gives_equal_hashes_in_all_imports_and_without_one_files_differ(tmp_path: Path) -> None:
    first, second = dump(tmp_path / "a.log"), tmp_path / "b.log"
    second.write_text(first.read_text().replace("SECRET-TEXT", "other"))
    assert phones(first, "--key", "k") == phones(second, "--key", "k")
    assert phones(first, "--key", "k") != phones(first, "--key", "K")
    assert phones(first) == phones(first), "equal files and options give equal recordings"
    assert phones(first) != phones(second)
    assert phones(first, "--key", "k") == {Pseudonyms(b"k").phone(PHONE)}, (
        "the live recorder's hash by that key"
    )


def test_hashes_stay_when_a_recording_is_imported_again(tmp_path: Path) -> None:
    first = tmp_path / "first.jsonl"
    assert main(["import", str(dump(tmp_path / "dump.log")), "-o", str(first), "--quiet"]) == 0
    second = tmp_path / "second.jsonl"
    assert main(["import", str(first), "-o", str(second), "--quiet"]) == 0
    assert first.read_text().splitlines()[1:] == second.read_text().splitlines()[1:]


@pytest.mark.parametrize("options", [(), ("--text",)])
def test_the_length_of_a_text_that_the_log_cut_is_unknown(tmp_path: Path, options: tuple[str, ...]) -> None:
    log, imported = tmp_path / "a.log", tmp_path / "a.jsonl"
    log.write_text(
        "{ event: 'messages.upsert', instance: 'shop', date_time: '2025-05-01T17:51:14.031Z', data: {\n"
        f"  key: {{ remoteJid: '{PHONE}@s.whatsapp.net', fromMe: false, id: 'A1' }},\n"
        "  message: [Object], messageType: 'conversation', messageTimestamp: 1746121874\n} }\n"
    )
    assert main(["import", str(log), "--format", "console", "-o", str(imported), *options]) == 0
    (message,) = load([imported])[0].arrivals
    assert (message.text, message.characters) == ("", None)
