"""Tables of settings, links and names in the documents agree with the code."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

import pytest
from fakeredis import FakeAsyncRedis
from pydantic import SecretStr

import queue_core
from queue_core import PROFILES, MessageQueue, QueueSettings
from queue_core.recording.reader import load as recordings_in
from queue_core.server.config import ServerSettings, environment_names, load
from tests.docs.documents import PAGES, ROOT, section_under

OTHERS = (ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md", ROOT / "logs" / "README.md")
README = (ROOT / "README.md").read_text("utf-8")


def test_every_setting_of_the_queue_stands_in_the_table_with_its_default() -> None:
    table = section_under("docs/library.md", "Settings of the queue")
    rows = [row.split("|")[1:3] for row in table.splitlines() if row.startswith("| `")]
    defaults: dict[str, str] = {}
    for names, values in rows:
        defaults |= dict(zip(re.findall(r"`(\w+)`", names), values.replace("`", "").split(", "), strict=True))
    assert list(defaults) == [field.name for field in dataclasses.fields(QueueSettings)]
    for field in dataclasses.fields(QueueSettings):
        default = "off" if field.default is False else str(field.default)
        assert defaults[field.name].split()[0] == default, field.name


def test_every_profile_stands_in_the_tables_with_its_settings() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| ([^|]+) \|", section_under("docs/library.md", "Profiles"), re.MULTILINE
    )
    shown = {
        name: {setting: int(value) for setting, value in re.findall(r"`(\w+)=(\d+)`", settings)}
        for name, settings in rows
    }
    assert shown == PROFILES
    table = section_under("docs/server.md", "When a turn is answered")
    times = {
        name: _numbers(text) for name, text in re.findall(r"^\| `(\w+)` \| (.+) \|$", table, re.MULTILINE)
    }
    plan, *until_silence = PROFILES
    assert times[plan] == [PROFILES[plan]["window_ms"] / 1000, PROFILES[plan]["max_messages"]]
    for name in until_silence:
        assert times[name] == [PROFILES[name]["idle_ms"] / 1000, PROFILES[name]["cap_ms"] / 1000]


def _numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"[\d.]+(?= )", text)]


def test_every_setting_of_the_server_stands_in_the_table_with_its_default() -> None:
    table = section_under("docs/server.md", "Settings of the server")
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (?:`([^`]*)`)? ?\|", table, re.MULTILINE)
    shown = {name: default for names, default in rows for name in re.findall(r"\w+", names)}
    settings = ServerSettings()
    defaults = settings.model_dump(exclude={"queue", "providers"})
    for provider in settings.providers:
        defaults |= {f"{provider.name}_{field}": value for field, value in provider}
    known = [name for name, field in environment_names().items() if not field.startswith("queue.")]
    assert sorted(shown) == sorted(known)
    of_channels = "_REPLY_FORMAT"  # in one row
    assert [name for name in shown if of_channels not in name] == [
        name for name in known if of_channels not in name
    ]
    environment = {name: value for name, value in shown.items() if value}
    assert load(environment, os.devnull).settings == settings
    missing = {name for name, value in shown.items() if not value}
    assert missing == {name.upper() for name, value in defaults.items() if _is_empty(value)}


def _is_empty(value: object) -> bool:
    return (value.get_secret_value() if isinstance(value, SecretStr) else value) in ("", None, ())


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for path, heading in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", page.read_text("utf-8")):
        target = page.parent / path if path else page
        assert target.exists(), path
        if heading:
            headings = re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_in_sentences_exist(page: Path) -> None:
    folders = "queue_core|sim|reports|loadtests|tests|logs|docs"
    paths = re.findall(rf"`((?:{folders})/[\w./-]*)`", page.read_text("utf-8"))
    assert [
        path for path in paths if not path.startswith("reports/out/") and not (ROOT / path).exists()
    ] == []


def test_names_of_the_library_are_exported() -> None:
    pages = [ROOT / "README.md", ROOT / "docs" / "library.md", ROOT / "docs" / "operate.md"]
    text = "".join(page.read_text("utf-8") for page in pages)
    names = re.findall(
        r"`(?:await )?(\w+Error|\w*Settings|Intake|Processor|MessageQueue|QueueMessage)\b", text
    )
    assert [name for name in names if not hasattr(queue_core, name)] == []
    methods = re.findall(r"`queue\.(\w+)\(", text)
    queue = MessageQueue(FakeAsyncRedis())
    assert [method for method in methods if not hasattr(queue, method)] == []
    assert min(len(names), len(methods)) > 5


def test_the_readme_is_short_and_counts_the_recordings() -> None:
    assert len(README.splitlines()) <= 120
    recordings = recordings_in([ROOT / "logs"])
    messages = sum(
        len({(each.instance, each.phone, each.id) for each in recording.arrivals}) for recording in recordings
    )
    assert f"all {len(recordings)} recordings ({messages:,} messages)" in README
