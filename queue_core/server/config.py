"""Settings of a deployment, read from its environment and `.env`; all faults are reported together."""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
import logging
from collections.abc import Iterable, Iterator, Mapping
from io import StringIO
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

import pydantic
from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import BaseModel, BeforeValidator, Field, SecretStr

from queue_core.ai.base import UNAVAILABLE_WAITS_S
from queue_core.channels import registry
from queue_core.channels.base import Provider
from queue_core.channels.content import KINDS
from queue_core.channels.form import Format
from queue_core.channels.phrases import Language
from queue_core.environment import EnvironmentSettings, WholeUrl, faults_of_secret
from queue_core.errors import InvalidSettingsError
from queue_core.redis.connection import connect
from queue_core.server.wording import worded
from queue_core.settings import PROFILES, QueueSettings
from queue_core.text import visible

ENV_FILE = ".env"
_PREFIXES = ("QUEUE_", "AI_", "RECORD_", "OPERATOR_", "WEBHOOK_", "MONITOR_", "MEDIA_", "REPLY_")
"""Prefixes of settings. An unknown name with one of these prefixes, or a provider's, is probably a mistake."""

SUPERSEDE_MS = PROFILES["patient"]["supersede_ms"]
"""Default of `supersede_ms` in a deployment, for AIs without side effects: see `supersede_ms_of`."""


def supersede_ms_of(ai: str | None) -> int:
    """Return the default of `supersede_ms` for an AI.

    The default for http is 0, since it may be a flow with side effects, such as an order, which must not run twice.
    """
    return 0 if ai == "http" else SUPERSEDE_MS


def _list_of_words(value: Any) -> Any:
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


_Words = Annotated[tuple[str, ...], BeforeValidator(_list_of_words)]
_Seconds = Annotated[tuple[float, ...], BeforeValidator(_list_of_words)]
_Group = TypeVar("_Group")


class ServerSettings(EnvironmentSettings):
    """Settings of a deployment; those of the queue are in `queue`. Each is set by its name in capitals."""

    redis_url: SecretStr = SecretStr("")
    """Address, redis://, rediss:// or unix://; empty: `serve` runs its own redis-server, which other commands use."""
    data_dir: Path = Path("data")
    """Folder for the data of that redis-server; `redis` reads this from the environment only, not from a file."""
    use_queue_system: bool = True
    """false: new messages go to the legacy buffer, which loses some; workers still drain the queue."""

    host: str = "127.0.0.1"
    """Address to listen on; a public one needs a webhook secret, or `allow_unsigned_webhooks`."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """Port of the web app; 0: any free port."""
    monitor_port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """Port for /healthz, /readyz and /metrics of a worker or monitor; 0: none."""
    reuse_port: bool = False
    """true: several `web` processes on one machine share the port."""
    body_bytes_max: Annotated[int, Field(ge=1_024, le=1_073_741_824)] = 26_214_400
    """Size limit of a webhook; a larger one is refused (413)."""
    media_bytes_max: Annotated[int, Field(ge=0, le=16_777_216)] = 8_192
    """Size limit of media in a webhook, as base64; longer media is replaced by length and hash."""
    operator_token: SecretStr = SecretStr("")
    """Bearer token of /queue-processor, /queue-monitor and /process-queued-messages; empty: these routes are off."""
    allow_unsigned_webhooks: bool = False
    """true: listen on a public address without any webhook secret, and take webhooks of channels without one."""
    ignored_kinds: _Words = ()
    """Kinds of message, such as reaction,sticker, that are acknowledged and not queued."""
    placeholder_language: Language = "en"
    """Language of placeholders such as [image], en or ar; the AI reads them."""
    typing: bool = True
    """true: show the user "typing…" once a message is queued."""

    providers: tuple[Provider, ...] = Field(
        default_factory=lambda: tuple(kind() for kind in registry.PROVIDERS)
    )
    """Each messaging provider with its own settings."""
    send_timeout_s: Annotated[float, Field(gt=0, le=600)] = 20.0
    """Longest wait for a channel to take a reply."""

    reply_format: Format = "whatsapp"
    """Formatting of replies: WhatsApp's, made of Markdown (whatsapp), none (plain), or the AI's (unchanged)."""
    reply_bubbles: Annotated[int, Field(ge=1, le=10)] = 1
    """Limit on the bubbles into which the paragraphs of a reply are split; 1: not split."""
    reply_pause_s: Annotated[float, Field(ge=0, le=20)] = 4.0
    """Longest pause before a bubble, in which the user sees "typing…"; short bubbles come sooner."""

    ai: Literal["echo", "dify", "openai", "http"] | None = None
    """Kind of AI that answers; empty: an echo, but `web`, `worker` and `tick` do not start if `lacks_ai`."""
    ai_url: WholeUrl = ""
    """Address of the AI: for dify and openai the base up to /v1, for http the whole URL."""
    ai_key: SecretStr = SecretStr("")
    """Key or token of the AI."""
    ai_model: str = ""
    """Model name, for openai."""
    ai_system_prompt: str = ""
    """System prompt, for openai."""
    ai_history_turns: Annotated[int, Field(ge=0, le=200)] = 10
    """Number of earlier turns that are sent to the AI, for openai."""
    ai_memory_days: Annotated[int, Field(ge=1, le=3_650)] = 30
    """Days for which a conversation's memory is kept after its last turn, for dify and openai."""
    ai_timeout_s: Annotated[float, Field(gt=0, le=3_600)] = 60.0
    """Longest wait for an answer."""
    ai_unavailable_waits_s: Annotated[_Seconds, Field(min_length=1, max_length=20)] = UNAVAILABLE_WAITS_S
    """Waits before the second, third, … attempt after a failure of the AI. While the AI is away, each wait is at least
    as long as the first."""

    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 50
    """Conversations that one worker answers at a time."""
    grace_s: Annotated[float, Field(ge=0, le=600)] = 20.0
    """Time for running turns to finish after SIGTERM; then they are handed back to the queue."""
    monitor_every_s: Annotated[float, Field(ge=1, le=3_600)] = 60.0
    """Seconds between two examinations of the queue by the monitor."""

    dead_letters_file: Path | None = None
    """File to which the monitor moves the oldest dead letters when there is no room for more; empty: none."""

    record_to: Path | None = None
    """Folder for recordings of what arrives, for `sim replay`; empty: no recording."""
    record_text: bool = False
    """Record the texts too."""
    record_days: Annotated[int, Field(ge=0, le=3_650)] = 0
    """Days for which recordings are kept; 0: for ever."""
    record_key: SecretStr = SecretStr("")
    """Key that hashes phones and ids in recordings; empty: a new key at each start."""
    log_key: SecretStr = SecretStr("")
    """Key that makes the tags of conversations in the log; empty: a random key, made once and kept in Redis."""
    log_format: Literal["text", "json"] = "text"
    """Format of log lines: for people, or as JSON."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe event that is logged."""

    queue_profile: Literal["plan", "patient", "quick"] = "plan"
    """Set of batching rules (`queue_core.settings.PROFILES`); settings of the queue replace single ones."""
    queue: QueueSettings = Field(default_factory=lambda: QueueSettings(supersede_ms=supersede_ms_of(None)))

    @property
    def is_public(self) -> bool:
        """True when other machines can reach the web app."""
        if self.host == "localhost":
            return False
        try:
            return not ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return True

    @property
    def has_channel(self) -> bool:
        """True when a provider can send replies; otherwise they are printed on the terminal."""
        return any(provider.is_enabled for provider in self.providers)

    @property
    def lacks_ai(self) -> bool:
        """True when no AI is set although a Redis or a channel is, so that users may be reached."""
        return not self.ai and bool(self.has_channel or self.redis_url.get_secret_value())

    def with_ai(self) -> ServerSettings:
        """Return the settings with an AI: the one that is set, or an echo."""
        return self if self.ai else self.model_copy(update={"ai": "echo"})


class Loaded(BaseModel):
    """Settings, and warnings about names that look like mistakes."""

    settings: ServerSettings
    warnings: tuple[str, ...]


class FaultySettingsError(InvalidSettingsError):
    """Raised for wrong settings: a fault on each line, those of `queue` on one. `warnings` may explain them."""

    def __init__(self, faults: Iterable[str], warnings: Iterable[str] = ()) -> None:
        super().__init__("\n".join(faults))
        self.warnings = tuple(warnings)


def environment_names() -> dict[str, str]:
    """Return every name that is read, with the field that it sets: `port`, `queue.window_ms`, `cloud.app_secret`."""
    names: dict[str, str] = {}
    for field in ServerSettings.model_fields:
        if field == "providers":
            for kind in registry.PROVIDERS:
                names |= {kind.environment_name(name): f"{kind.name}.{name}" for name in kind.model_fields}
        elif field != "queue":
            names[field.upper()] = field
    for setting in dataclasses.fields(QueueSettings):
        name = setting.name if setting.name.startswith("queue_") else f"queue_{setting.name}"
        names[name.upper()] = f"queue.{setting.name}"
    return names


def load(
    environ: Mapping[str, str],
    env_file: Path | str | None = None,
    *,
    needs_ai: bool = False,
    takes_webhooks: bool = False,
) -> Loaded:
    """Read settings from a file and from `environ`, which takes precedence. Empty values count as not set.

    Without `env_file` the file is `.env`, if there is one; a file that is named must exist. With `needs_ai`,
    `lacks_ai` is a fault; with `takes_webhooks`, a public address without a secret is one, too. Raises
    InvalidSettingsError, which lists every fault and shows no secret.
    """
    file_values, warnings = _from_file(env_file)
    given = {name: value for name, value in {**file_values, **environ}.items() if value}
    names = environment_names()
    faults: list[str] = []

    def read(kind: type[_Group], section: str, defaults: Mapping[str, int] = MappingProxyType({})) -> _Group:
        """Return the settings of a section; wrong ones are noted, and have their defaults."""
        names_of = {
            field.rpartition(".")[2]: name
            for name, field in names.items()
            if field.rpartition(".")[0] == section
        }
        values = {**defaults, **{field: given[name] for field, name in names_of.items() if name in given}}
        try:
            return pydantic.TypeAdapter(kind).validate_python(values)
        except pydantic.ValidationError as error:
            faults.extend(worded(error, names_of))
            wrong = {str(fault["loc"][0]) for fault in error.errors() if fault["loc"]}
            right = {field: value for field, value in values.items() if wrong and field not in wrong}
            return pydantic.TypeAdapter(kind).validate_python(right)

    settings = read(ServerSettings, "")
    providers = [read(kind, kind.name) for kind in registry.PROVIDERS]
    rules = {**PROFILES[settings.queue_profile], "supersede_ms": supersede_ms_of(settings.ai)}
    queue = read(QueueSettings, "queue", rules)
    settings = settings.model_copy(update={"providers": tuple(providers), "queue": queue})
    named = {fault.partition(":")[0] for fault in faults}
    contradictions = _contradictions(settings, needs_ai=needs_ai, takes_webhooks=takes_webhooks)
    faults += [fault for fault in contradictions if fault.partition(":")[0] not in named]
    warnings += [*suspects(file_values, environ, names), *_unknown_kinds(settings.ignored_kinds)]
    if faults:
        raise FaultySettingsError(faults, warnings)
    return Loaded(settings=settings, warnings=tuple(warnings))


def _from_file(env_file: Path | str | None) -> tuple[dict[str, str], list[str]]:
    """Return the settings in the file, and a warning for each line that cannot be read."""
    path = Path(ENV_FILE if env_file is None else env_file)
    if env_file is not None and (path.is_dir() or not path.exists()):
        raise InvalidSettingsError(
            f"{path}: there is no such file; name another file with --env-file, or leave the option out"
        )
    if env_file is None and not path.exists():
        return {}, []
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise InvalidSettingsError(
            f"{path} cannot be read: {error.strerror or type(error).__name__}"
        ) from None
    except UnicodeDecodeError:
        raise InvalidSettingsError(f"{path} cannot be read: it is not UTF-8 text") from None
    warnings = []
    for binding in parse_stream(StringIO(text)):
        if binding.error or (binding.key and binding.value is None):
            original = binding.original
            blank_lines = original.string.partition(original.string.strip())[0].count("\n")
            line = original.line + blank_lines
            warnings.append(f"{path}, line {line} has no effect, since it is not NAME=value")
    logging.getLogger("dotenv").setLevel(logging.ERROR)  # it would repeat these warnings in its own words
    values = dotenv_values(stream=StringIO(text))
    return {name: value for name, value in values.items() if value is not None}, warnings


def _contradictions(settings: ServerSettings, *, needs_ai: bool, takes_webhooks: bool) -> Iterator[str]:
    if url := settings.redis_url.get_secret_value():
        try:
            connect(url)
        except InvalidSettingsError as error:
            yield f"REDIS_URL: {error}"
    for provider in settings.providers:
        yield from provider.faults()
    if needs_ai and settings.lacks_ai:
        yield (
            "AI: not set, so every user would be answered by an echo; set AI=dify, AI=openai or AI=http with its "
            "AI_URL, or set AI=echo if you want an echo"
        )
    yield from _faults_of_ai(settings)
    yield from _faults_of_times(settings)
    yield from faults_of_secret("OPERATOR_TOKEN", settings.operator_token)
    if takes_webhooks:
        yield from _faults_of_access(settings)


def _faults_of_ai(settings: ServerSettings) -> Iterator[str]:
    if settings.ai not in (None, "echo") and not settings.ai_url:
        yield f"AI_URL: needed for AI={settings.ai}"
    if settings.ai in ("dify", "openai") and "?" in settings.ai_url:
        yield f"AI_URL: must end before its ?, since AI={settings.ai} adds a path"
    if settings.ai == "openai" and not settings.ai_model:
        yield "AI_MODEL: needed for AI=openai"
    if settings.ai == "dify" and not settings.ai_key.get_secret_value():
        yield "AI_KEY: needed for AI=dify"
    if any(not 0 <= wait_s <= 3_600 for wait_s in settings.ai_unavailable_waits_s):
        yield "AI_UNAVAILABLE_WAITS_S: each wait must be between 0 and 3600 s"


def _faults_of_times(settings: ServerSettings) -> Iterator[str]:
    queue = settings.queue
    pause_s = settings.reply_pause_s if settings.reply_bubbles > 1 else 0
    if settings.send_timeout_s < queue.send_timeout_ms / 1000 <= settings.send_timeout_s + pause_s:
        yield (
            f"REPLY_PAUSE_S: is {pause_s:g} s; with the {settings.send_timeout_s:g} s of SEND_TIMEOUT_S it must be "
            f"below QUEUE_SEND_TIMEOUT_MS ({queue.send_timeout_ms} ms)"
        )
    for name, time_s, limit_name, limit_ms in (
        ("AI_TIMEOUT_S", settings.ai_timeout_s, "QUEUE_HANDLER_TIMEOUT_MS", queue.handler_timeout_ms),
        ("SEND_TIMEOUT_S", settings.send_timeout_s, "QUEUE_SEND_TIMEOUT_MS", queue.send_timeout_ms),
    ):
        if time_s * 1000 >= limit_ms:
            yield f"{name}: is {time_s:g} s, must be below {limit_name} ({limit_ms} ms)"


def _faults_of_access(settings: ServerSettings) -> Iterator[str]:
    is_open = settings.is_public and not settings.allow_unsigned_webhooks
    if is_open and not any(provider.is_secured for provider in settings.providers):
        names = " or ".join(provider.environment_name(provider.secured_by) for provider in settings.providers)
        yield (
            f"HOST: {settings.host} can be reached by others, and anybody could post messages: set {names}, "
            "or ALLOW_UNSIGNED_WEBHOOKS=true"
        )


def _unknown_kinds(ignored: Iterable[str]) -> Iterator[str]:
    for kind in sorted(set(ignored) - KINDS):
        close = difflib.get_close_matches(kind.lower(), KINDS, n=1, cutoff=0.75)
        hint = f"did you mean {close[0]}?" if close else "docs/messages.md lists the kinds"
        yield f"IGNORED_KINDS: {visible(kind)} is not a kind of message and has no effect; {hint}"


def suspects(
    file_values: Mapping[str, str], environ: Mapping[str, str], names: Mapping[str, str]
) -> Iterator[str]:
    """Yield a warning for each name that is probably a mistake.

    In the file, any unknown name with one of our prefixes counts; most names in the environment belong to other
    programs.
    """
    prefixes = (*_PREFIXES, *(kind.environment_name("") for kind in registry.PROVIDERS))
    for name in sorted({*file_values, *environ} - set(names)):
        cutoff = 0.85 if name in file_values else 0.9
        plain = name.replace("QUEUE_QUEUE_", "QUEUE_", 1)  # queue_ttl_s is QUEUE_TTL_S
        close = [plain] if plain in names else difflib.get_close_matches(name, names, n=1, cutoff=cutoff)
        if close or name.startswith(prefixes if name in file_values else "QUEUE_"):
            close = close or difflib.get_close_matches(name, names, n=1, cutoff=0.75)
            hint = f"; did you mean {close[0]}?" if close else ""
            yield f"{name} is not a setting and has no effect{hint}"
