"""Settings from the environment and from a file: all faults at once, no secret shown, mistakes noticed."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

from queue_core import InvalidSettingsError, QueueSettings
from queue_core.server.config import FaultySettingsError, ServerSettings, environment_names, load
from queue_core.settings import PROFILES

NO_FILE = os.devnull


def faults_of(**environ: str) -> str:
    with pytest.raises(InvalidSettingsError) as raised:
        load(environ, NO_FILE)
    return str(raised.value)


def test_an_empty_environment_gives_the_defaults() -> None:
    loaded = load({}, NO_FILE)
    assert (loaded.settings, loaded.warnings) == (ServerSettings(), ())
    assert loaded.settings.queue == QueueSettings(supersede_ms=45_000), "the default AI is an echo"


def test_values_come_from_the_file_and_the_environment_wins(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(
        "PORT=9000\nHOST=localhost\nQUEUE_WINDOW_MS=5000\nIGNORED_KINDS=image, audio,\nAI_MODEL=\n"
    )
    settings = load({"PORT": "9001", "QUEUE_WAIT_FOR_FSYNC": "true", "QUEUE_TTL_S": "60"}, path).settings
    assert (settings.port, settings.host, settings.ignored_kinds) == (9001, "localhost", ("image", "audio"))
    changed: dict[str, Any] = {"window_ms": 5000, "wait_for_fsync": True, "queue_ttl_s": 60}
    assert settings.queue == QueueSettings(**changed, supersede_ms=45_000)


def test_an_ignored_kind_that_no_message_has_is_warned_of() -> None:
    loaded = load({"IGNORED_KINDS": "reaction,Stickers,voice"}, NO_FILE)
    assert loaded.settings.ignored_kinds == ("reaction", "Stickers", "voice")
    assert loaded.warnings == (
        "IGNORED_KINDS: Stickers is not a kind of message and has no effect; did you mean sticker?",
        "IGNORED_KINDS: voice is not a kind of message and has no effect; docs/messages.md lists the kinds",
    )


def test_every_setting_of_the_queue_has_a_name() -> None:
    names = environment_names()
    assert names["QUEUE_WINDOW_MS"] == "queue.window_ms"
    assert names["QUEUE_TTL_S"] == "queue.queue_ttl_s"
    of_the_queue = [name for name in names if name.startswith("QUEUE_") and name != "QUEUE_PROFILE"]
    assert len(of_the_queue) == len(dataclasses.fields(QueueSettings))


AIS: dict[str, dict[str, str]] = {
    "": {},
    "echo": {"AI": "echo"},
    "openai": {"AI": "openai", "AI_URL": "http://ai", "AI_MODEL": "m"},
    "dify": {"AI": "dify", "AI_URL": "http://ai", "AI_KEY": "k"},
    "http": {"AI": "http", "AI_URL": "http://ai"},
}


@pytest.mark.parametrize("ai", AIS)
@pytest.mark.parametrize("profile", ["", *PROFILES])
def test_a_profile_sets_the_rules_and_the_ai_decides_whether_messages_join_its_turn(
    ai: str, profile: str
) -> None:
    """With http they do not, whatever the profile says: a call of AI_URL may have side effects."""
    settings = load({**AIS[ai], "QUEUE_PROFILE": profile}, NO_FILE).settings
    supersede_ms = 0 if ai == "http" else 45_000
    rules: dict[str, Any] = dict(PROFILES[profile or "plan"])
    assert settings.queue == QueueSettings(**{**rules, "supersede_ms": supersede_ms})
    assert settings.with_ai().queue == settings.queue
    changed = {"QUEUE_SUPERSEDE_MS": "20000", "QUEUE_MAX_MESSAGES": "0", "QUEUE_IDLE_MS": "1000"}
    queue = load({**AIS[ai], "QUEUE_PROFILE": profile, **changed}, NO_FILE).settings.queue
    assert queue == QueueSettings(**{**rules, "supersede_ms": 20_000, "max_messages": 0, "idle_ms": 1_000})
    off = {**AIS[ai], "QUEUE_PROFILE": profile, "QUEUE_SUPERSEDE_MS": "0"}
    assert load(off, NO_FILE).settings.queue.supersede_ms == 0


def test_every_profile_is_known_by_its_name() -> None:
    assert [load({"QUEUE_PROFILE": name}, NO_FILE).settings.queue_profile for name in PROFILES] == [*PROFILES]
    assert faults_of(QUEUE_PROFILE="hasty") == "QUEUE_PROFILE: must be 'plan', 'patient' or 'quick'"


def test_all_faults_are_reported_together_with_the_names_of_settings() -> None:
    faults = faults_of(
        PORT="eighty", AI="magic", EVOLUTION_URL="ftp://x", QUEUE_LOCK_TTL_MS="x", QUEUE_WINDOW_MS="soon"
    )
    for name in ("PORT", "AI", "EVOLUTION_URL", "QUEUE_LOCK_TTL_MS", "QUEUE_WINDOW_MS"):
        assert f"{name}: " in faults


def test_values_that_contradict_each_other_are_reported_beside_wrong_ones() -> None:
    faults = faults_of(PORT="abc", OPERATOR_TOKEN="short", AI="openai", AI_URL="host", AI_TIMEOUT_S="500")
    assert [fault.partition(":")[0] for fault in faults.splitlines()] == [
        *("PORT", "AI_URL"),
        *("AI_MODEL", "AI_TIMEOUT_S", "OPERATOR_TOKEN"),
    ]


def test_a_wrong_value_is_reported_in_plain_words(tmp_path: Path) -> None:
    faults = faults_of(
        PORT="70000",
        CONCURRENCY="0",
        MONITOR_PORT="9" * 5_000,
        GRACE_S="x",
        TYPING="maybe",
        AI="magic",
        AI_URL="host",
        CLOUD_VERSION="23",
        AI_UNAVAILABLE_WAITS_S="a,b",
        SEND_TIMEOUT_S="0",
        QUEUE_WAIT_FOR_FSYNC="perhaps",
        QUEUE_LATE_MESSAGES="drop",
        QUEUE_WINDOW_MS="1.5",
    )
    assert set(faults.splitlines()) == {
        "PORT: must be at most 65535",
        "CONCURRENCY: must be at least 1",
        "MONITOR_PORT: has too many digits",
        "GRACE_S: is not a number",
        "TYPING: is neither true nor false",
        "AI: must be 'echo', 'dify', 'openai' or 'http'",
        "AI_URL: does not have the right form, such as https://host/path",
        "CLOUD_VERSION: does not have the right form, such as v23.0",
        "AI_UNAVAILABLE_WAITS_S: is not a number",
        "SEND_TIMEOUT_S: must be more than 0",
        "QUEUE_WAIT_FOR_FSYNC: is neither true nor false",
        "QUEUE_LATE_MESSAGES: must be 'dead-letter' or 'answer'",
        "QUEUE_WINDOW_MS: is not a whole number",
    }
    for name in (tmp_path / "missing.env", tmp_path):
        with pytest.raises(InvalidSettingsError, match="there is no such file"):
            load({}, name)


def test_faults_that_the_queue_finds_are_reported_too() -> None:
    faults = faults_of(QUEUE_WINDOW_MS="-1", QUEUE_LOCK_TTL_MS="100", PORT="70000")
    for name in ("QUEUE_WINDOW_MS is -1", "QUEUE_LOCK_RENEW_MS (5000)", "PORT: "):
        assert name in faults
    faults = faults_of(QUEUE_CAP_MS="-1", QUEUE_PREFIX="my prefix")
    for words in ("QUEUE_CAP_MS is -1, ", "QUEUE_PREFIX is 'my prefix', "):
        assert words in faults


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"AI": "dify", "AI_URL": "http://ai"}, "AI_KEY"),
        ({"AI": "openai", "AI_URL": "http://ai"}, "AI_MODEL"),
        ({"AI": "http"}, "AI_URL"),
        ({"AI": "openai", "AI_URL": "http://ai/v1?key=1", "AI_MODEL": "m"}, "AI_URL"),
        ({"AI": "dify", "AI_URL": "http://ai/v1?key=1", "AI_KEY": "k"}, "AI_URL"),
        ({"EVOLUTION_URL": "http://evolution"}, "EVOLUTION_API_KEY"),
        ({"AI_TIMEOUT_S": "500"}, "AI_TIMEOUT_S"),
        ({"SEND_TIMEOUT_S": "40"}, "SEND_TIMEOUT_S"),
        ({"SEND_TIMEOUT_S": "25", "REPLY_BUBBLES": "2", "REPLY_PAUSE_S": "6"}, "REPLY_PAUSE_S"),
        *(
            ({name: "fifteen letters"}, name)
            for name in (
                *("OPERATOR_TOKEN", "EVOLUTION_WEBHOOK_SECRET", "EVOLUTION_GO_WEBHOOK_SECRET"),
                *("WAHA_HMAC_KEY", "CLOUD_APP_SECRET", "CLOUD_VERIFY_TOKEN"),
            )
        ),
        ({"AI_UNAVAILABLE_WAITS_S": "1,-2"}, "AI_UNAVAILABLE_WAITS_S"),
        ({"REDIS_URL": "http://redis"}, "REDIS_URL"),
        ({"REDIS_URL": "redis+cluster://host:port"}, "REDIS_URL"),
    ],
)
def test_a_fault_begins_with_the_name_of_the_setting(environ: dict[str, str], name: str) -> None:
    assert faults_of(**environ).startswith(f"{name}: ")


@pytest.mark.parametrize("url", ["http://ai/turn/", "http://ai/turn?version=1&sig=a%2Bb", "http://ai?v=1"])
def test_the_address_of_the_http_ai_stays_as_it_is(url: str) -> None:
    assert load({"AI": "http", "AI_URL": f" {url} "}, NO_FILE).settings.ai_url == url


LOCAL = ("127.0.0.1", "::1", "localhost")


@pytest.mark.parametrize("host", [*LOCAL, "0.0.0.0", "10.0.0.1", "bot.example"])
def test_a_public_address_needs_a_secret(host: str) -> None:
    """Unless the settings allow it to have none."""
    is_public = host not in LOCAL
    if is_public:
        with pytest.raises(InvalidSettingsError, match=r"^HOST: "):
            load({"HOST": host}, NO_FILE, takes_webhooks=True)
    else:
        load({"HOST": host}, NO_FILE, takes_webhooks=True)
    for allowed in (
        {"ALLOW_UNSIGNED_WEBHOOKS": "true"},
        {"CLOUD_APP_SECRET": "x" * 16},
        {"EVOLUTION_WEBHOOK_SECRET": "x" * 16},
    ):
        assert load({"HOST": host, **allowed}, NO_FILE, takes_webhooks=True).settings.is_public == is_public


def test_a_process_that_takes_no_webhooks_needs_no_secret_for_them() -> None:
    assert load({"HOST": "0.0.0.0"}, NO_FILE).settings.is_public


def test_no_secret_is_ever_shown() -> None:
    secret = "sesame-open-sesame"
    environ = {
        "REDIS_URL": f"redis://:{secret}@localhost:6379/0",
        "OPERATOR_TOKEN": secret,
        "EVOLUTION_API_KEY": secret,
        "EVOLUTION_WEBHOOK_SECRET": secret,
        "CLOUD_ACCESS_TOKEN": secret,
        "CLOUD_APP_SECRET": secret,
        "CLOUD_VERIFY_TOKEN": secret,
        "AI_KEY": secret,
        "RECORD_KEY": secret,
    }
    settings = load(environ, NO_FILE).settings
    assert secret not in f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"
    assert secret not in faults_of(**environ | {"PORT": "x", "REDIS_URL": f"redis://:{secret}@h:port/0"})


def test_names_that_look_like_mistakes_are_warned_of(tmp_path: Path) -> None:
    """In the file, any name with our prefixes; in the environment, which others share, only names close to ours."""
    path = tmp_path / ".env"
    path.write_text("LOCK_TTL=5\nAI_MODL=x\nCLOUD_SDK_VERSION=1\nDATABASE_URL=x\n")
    given = {"QUEUE_WINDOW": "8"}
    with pytest.raises(FaultySettingsError) as raised:
        load({**given, "PORT": "x"}, path)
    warnings = load({"CLOUD_TOKEN_OTHER": "1", "PATH": "/bin", **given}, path).warnings
    assert [warning.split()[0] for warning in warnings] == ["AI_MODL", "CLOUD_SDK_VERSION", "QUEUE_WINDOW"]
    assert "did you mean AI_MODEL?" in warnings[0]
    assert "did you mean QUEUE_WINDOW_MS?" in warnings[2]
    assert raised.value.warnings == warnings, "warnings stand beside faults too"


def test_the_prefix_of_a_setting_is_not_doubled() -> None:
    """`queue_ttl_s` is set by QUEUE_TTL_S."""
    (warning,) = load({"QUEUE_QUEUE_TTL_S": "7200"}, NO_FILE).warnings
    assert warning.endswith("did you mean QUEUE_TTL_S?")


def test_lines_of_the_file_that_set_nothing_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the text of the line, which may be a secret, and without the library's own warning."""
    path = tmp_path / ".env"
    path.write_text('\ufeff# ours\nLOG_LEVEL=debug\nAI_KEY\nnot a setting\nexport GRACE_S=7\n\nPORT="8080\n')
    loaded = load({}, path)
    assert [warning.partition(" has no effect")[0] for warning in loaded.warnings] == [
        f"{path}, line {number}" for number in (3, 4, 7)
    ]
    assert (loaded.settings.log_level, loaded.settings.grace_s) == ("debug", 7)
    assert caplog.records == []


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes(b"PORT=\xff\xfe")
    with pytest.raises(InvalidSettingsError, match="cannot be read"):
        load({}, path)
