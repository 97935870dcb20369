"""`python -m sim synth`: it writes a recording, or says why it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from queue_core.recording.reader import load
from sim.cli import main


def test_the_recording_names_its_command(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """The recording's source names the command that makes the same bytes, to a file or to standard output."""
    path = tmp_path / "x.jsonl"
    asked = ("--messages", "40", "--hours", "2.5", "--seed", "9", "--instance", "مطعم 1", "--lang", "mixed")
    assert main(["synth", *asked, "-o", str(path)]) == 0
    words = capfdbinary.readouterr().out.decode()
    assert words.startswith(f"{path}: 40 messages of ")
    assert words.endswith(f"; replay it with: python -m sim replay {path}\n")
    (loaded,) = load([path])
    assert "ynthetic" in loaded.title
    assert "assumed" in loaded.notes
    command = loaded.source.split("python -m sim synth ")[1]
    assert (
        command == "--messages 40 --hours 2.5 --seed 9 --instance 'مطعم 1' --lang mixed --redeliveries 0.01"
    )
    assert main(["synth", *asked]) == 0
    assert capfdbinary.readouterr().out == path.read_bytes()


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--messages", "0", "must be a whole number from 1 to"),
        ("--messages", "1.5", "must be a whole number"),
        ("--messages", "1000001", "must be a whole number"),
        ("--hours", "nan", "must be a number from 0.001 to 8784, not 'nan'"),
        ("--hours", "inf", "must be a number"),
        ("--hours", "0", "must be a number"),
        ("--hours", "soon", "must be a number"),
        ("--redeliveries", "-0.1", "must be a number from 0 to 1"),
        ("--redeliveries", "1.1", "must be a number from 0 to 1"),
        ("--instance", " ", '"instance" is empty'),
        ("--seed", "x", "must be a whole number from 0 to"),
        ("--lang", "fr", "invalid choice"),
    ],
)
def test_bad_options_are_refused(
    option: str, value: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the option and the values that are allowed."""
    with pytest.raises(SystemExit) as exited:
        main(["synth", f"{option}={value}"])
    assert exited.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith(f"sim: {option}: ")
    assert words in message


def test_an_output_that_cannot_be_written_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is 2, and the message has the operating system's reason."""
    path = tmp_path / "file" / "x.jsonl"
    path.parent.touch()
    assert main(["synth", "--messages", "5", "-o", str(path)]) == 2
    assert capsys.readouterr().err == f"sim: {path}: cannot be written: File exists\n"
