"""JSON Schemas: the shipped files agree with the types, and the command writes them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from reports.cli import main
from reports.results.files import KINDS
from reports.results.json_schema import FOLDER, schema_text


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_agrees_with_the_types(kind: str) -> None:
    text = (FOLDER / f"{kind}.json").read_text(encoding="utf-8")
    assert text == schema_text(kind), "run `python -m reports schemas`"


def test_there_is_a_schema_for_each_kind_and_no_other() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(KINDS)


def test_codes_are_listed_and_every_type_is_described() -> None:
    schema = json.loads(schema_text("replay"))
    assert schema["$defs"]["ReplayResult"]["properties"]["schema"] == {"const": 3}
    assert "marked_unread" in schema["$defs"]["Cause"]["properties"]["code"]["enum"]
    assert all(definition["description"] for definition in schema["$defs"].values())


def test_the_help_names_no_folder_of_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["schemas", "--help"])
    output = capsys.readouterr().out
    assert "reports/results/schemas" in output
    assert str(FOLDER.parent) not in re.sub(r"\s", "", output)


def test_the_command_writes_them_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schemas", "-o", str(tmp_path / "new")]) == 0
    written = sorted((tmp_path / "new").iterdir())
    assert [path.stem for path in written] == sorted(KINDS)
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "new" / f"{kind}.json") for kind in KINDS]
    assert written[0].read_text(encoding="utf-8") == schema_text(written[0].stem)
