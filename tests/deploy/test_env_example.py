"""`deploy/.env.example` is made from the tables of settings: run with UPDATE_DOCS=1, this test writes it."""

from __future__ import annotations

import os
import re
import textwrap

from queue_core.server.config import environment_names, load
from tests.docs.documents import ROOT, section_under

EXAMPLE = ROOT / "deploy" / ".env.example"
HEAD = """\
Settings of a deployment, with their defaults. Copy this file, and keep it secret: it will hold keys. All processes
need the same settings; docs/server.md has all of them. Put a value with a space, # or $ into single quotes.
Secrets of webhooks and OPERATOR_TOKEN have at least 16 characters; `openssl rand -hex 24` makes one.
"""
GROUPS = {
    "Redis. deploy/compose.yaml brings its own, and sets the address.": ("REDIS_URL", "QUEUE_WAIT_FOR_FSYNC"),
    "The AI.": ("AI", "AI_URL", "AI_KEY", "AI_MODEL", "AI_SYSTEM_PROMPT", "AI_TIMEOUT_S"),
    "The Evolution API. Set the whole group of at least one provider.": (
        *("EVOLUTION_URL", "EVOLUTION_API_KEY", "EVOLUTION_WEBHOOK_SECRET"),
    ),
    "Evolution Go.": ("EVOLUTION_GO_URL", "EVOLUTION_GO_API_KEY", "EVOLUTION_GO_WEBHOOK_SECRET"),
    "WAHA.": ("WAHA_URL", "WAHA_API_KEY", "WAHA_HMAC_KEY"),
    "The WhatsApp Cloud API.": ("CLOUD_ACCESS_TOKEN", "CLOUD_APP_SECRET", "CLOUD_VERIFY_TOKEN"),
    "The turns.": ("QUEUE_PROFILE", "CONCURRENCY"),
    "The operator. With a longer GRACE_S, raise stop_grace_period (compose) or TimeoutStopSec (systemd) too.": (
        *("GRACE_S", "OPERATOR_TOKEN", "DEAD_LETTERS_FILE", "LOG_FORMAT", "LOG_KEY"),
    ),
}
EXAMPLE_VALUES = {
    "REDIS_URL": "redis://127.0.0.1:6379/0",
    "DEAD_LETTERS_FILE": "/var/lib/burstqueue/dead-letters.jsonl",
}
"""Settings that have a value in the example, and no default."""


def rows() -> dict[str, tuple[str, str]]:
    """Return default and meaning of each setting in the tables of the documents."""
    table = section_under("docs/server.md", "Settings of the server")
    settings = re.findall(r"^\| `(\w+)` \| `?([^`|]*?)`? ?\| (.+) \|$", table, re.MULTILINE)
    table = section_under("docs/library.md", "Settings of the queue")
    for name, default, meaning in re.findall(r"^\| `(\w+)` \| (\S+)[^|]* \| (.+) \|$", table, re.MULTILINE):
        settings.append(
            (f"QUEUE_{name.removeprefix('queue_').upper()}", default.replace("off", "false"), meaning)
        )
    return {name: (default, meaning) for name, default, meaning in settings}


def example() -> str:
    """Make the file: a comment, and the setting; one that has a default is switched off."""
    known = rows()
    lines = _commented(" ".join(HEAD.split()))
    for group, names in GROUPS.items():
        lines += ["", *_commented(f"--- {group}")]
        for name in names:
            default, meaning = known[name]
            lines += _commented(re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", meaning).replace("`", ""))
            lines.append(f"#{name}={default}" if default else f"{name}={EXAMPLE_VALUES.get(name, '')}")
    return "\n".join(lines) + "\n"


def _commented(sentence: str) -> list[str]:
    return textwrap.wrap(sentence, 118, initial_indent="# ", subsequent_indent="#   ")


def test_the_example_is_made_from_the_tables() -> None:
    if os.environ.get("UPDATE_DOCS"):
        EXAMPLE.write_text(example(), "utf-8")
    assert EXAMPLE.read_text("utf-8") == example(), "run this test with UPDATE_DOCS=1"


def test_the_example_is_read_without_a_warning_and_shows_the_defaults() -> None:
    """The values that are switched off are those that hold anyway."""
    bare = load({}, os.devnull).settings
    loaded = load({}, EXAMPLE)
    assert loaded.warnings == ()
    assert loaded.settings.redis_url.get_secret_value() == EXAMPLE_VALUES["REDIS_URL"]
    assert str(loaded.settings.dead_letters_file) == EXAMPLE_VALUES["DEAD_LETTERS_FILE"]
    example_values = {name.lower(): getattr(bare, name.lower()) for name in EXAMPLE_VALUES}
    assert loaded.settings.model_copy(update=example_values) == bare
    defaults = dict(re.findall(r"^#(\w+)=(.+)$", EXAMPLE.read_text("utf-8"), re.MULTILINE))
    assert set(defaults) <= set(environment_names())
    assert load(defaults, os.devnull).settings == bare
