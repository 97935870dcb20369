"""What a deployment is told by its environment or `.env`: one class, checked at the start, all faults at once."""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from dotenv import dotenv_values
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from queue_core.errors import InvalidSettingsError
from queue_core.redis.connection import connect
from queue_core.settings import QueueSettings

ENV_FILE = ".env"
_PREFIXES = (
    "QUEUE_",
    "AI_",
    "EVOLUTION_",
    "CLOUD_",
    "RECORD_",
    "OPERATOR_",
    "WEBHOOK_",
    "MONITOR_",
    "MEDIA_",
)
"""A name that begins like this and is none of ours is probably a mistake."""


def _list_of_words(value: Any) -> Any:
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


def _base_url(value: Any) -> Any:
    return value.strip().rstrip("/") if isinstance(value, str) else value


_Words = Annotated[tuple[str, ...], BeforeValidator(_list_of_words)]
_Seconds = Annotated[tuple[float, ...], BeforeValidator(_list_of_words)]
_Url = Annotated[str, BeforeValidator(_base_url), Field(pattern=r"^(https?://[^\s/?#]+[^\s?#]*)?$")]


class ServerSettings(BaseModel):
    """Everything outside the queue itself; the queue's own settings are in `queue`. Names are environment names."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True)

    redis_url: SecretStr = SecretStr("")
    """redis://, rediss:// or unix://; empty: `serve` runs a redis-server of its own, the others look for that one."""
    data_dir: Path = Path("data")
    """Where that redis-server keeps its data."""
    use_queue_system: bool = True
    """false: new messages go to the legacy buffer, which loses some; workers still drain the queue."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """Port of the web app; 0 picks a free one."""
    monitor_port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """Port for /healthz, /readyz and /metrics of a worker or monitor; 0: none."""
    reuse_port: bool = False
    """Several `web` processes of one machine share the port."""
    body_bytes_max: Annotated[int, Field(ge=1_024, le=1_073_741_824)] = 26_214_400
    """A larger webhook is refused (413)."""
    media_bytes_max: Annotated[int, Field(ge=0, le=16_777_216)] = 8_192
    """Longer inline base64 is replaced by its length and hash before the message is queued."""
    operator_token: SecretStr = SecretStr("")
    """Bearer token of /queue-processor, /queue-monitor and /process-queued-messages; they are off without one."""
    allow_unsigned_webhooks: bool = False
    """true: listen on a public address without any webhook secret."""
    ignored_kinds: _Words = ()
    """Kinds of message, such as reaction,sticker, that are acknowledged and not queued."""
    typing: bool = True
    """Show the user "typing…" once a message is queued."""

    evolution_url: _Url = ""
    """Address of the Evolution API; empty: not used."""
    evolution_api_key: SecretStr = SecretStr("")
    """Its key, for sending."""
    evolution_webhook_secret: SecretStr = SecretStr("")
    """What its webhooks must carry: as header or body field `apikey`, or in the path /webhook/SECRET/evolution."""
    cloud_access_token: SecretStr = SecretStr("")
    """Access token of the WhatsApp Cloud API, for sending; empty: not used."""
    cloud_app_secret: SecretStr = SecretStr("")
    """App secret that signs its webhooks."""
    cloud_verify_token: SecretStr = SecretStr("")
    """Verify token of its webhook subscription."""
    cloud_url: _Url = "https://graph.facebook.com"
    """Address of the Cloud API."""
    cloud_version: Annotated[str, Field(pattern=r"^v\d+\.\d+$")] = "v23.0"
    """Version of the Cloud API."""
    send_timeout_s: Annotated[float, Field(gt=0, le=600)] = 20.0
    """Longest wait for a channel to take a reply."""

    ai: Literal["echo", "dify", "openai", "http"] = "echo"
    """Which kind of AI answers."""
    ai_url: _Url = ""
    """Its address: for dify and openai the base up to /v1, for http the whole URL."""
    ai_key: SecretStr = SecretStr("")
    """Its key or token."""
    ai_model: str = ""
    """Model name, for openai."""
    ai_system_prompt: str = ""
    """System prompt, for openai."""
    ai_history_turns: Annotated[int, Field(ge=0, le=200)] = 10
    """Turns of the conversation so far that are sent along, for openai."""
    ai_timeout_s: Annotated[float, Field(gt=0, le=3_600)] = 60.0
    """Longest wait for an answer."""
    ai_unavailable_waits_s: Annotated[_Seconds, Field(min_length=1, max_length=20)] = (2.0, 15.0, 60.0)
    """Waits before each retry while the AI cannot be reached or is overloaded."""

    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 50
    """Conversations that one worker answers at a time."""
    grace_s: Annotated[float, Field(ge=0, le=600)] = 20.0
    """On SIGTERM, what is in work may go on for so long; then it is handed back."""
    monitor_every_s: Annotated[float, Field(ge=1, le=3_600)] = 60.0
    """How often the monitor looks."""

    record_to: Path | None = None
    """Folder to record what arrives in, for `sim replay`; empty: no recording."""
    record_text: bool = False
    """Record the texts too."""
    record_key: SecretStr = SecretStr("")
    """Key that hashes phones and ids in recordings; empty: a new one at each start."""
    log_format: Literal["text", "json"] = "text"
    """Log lines for people or for machines."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe event that is logged."""

    queue: QueueSettings = Field(default_factory=QueueSettings)

    @property
    def is_public(self) -> bool:
        """Whether others than this machine can reach the web app."""
        if self.host == "localhost":
            return False
        try:
            return not ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return True

    @property
    def has_channel(self) -> bool:
        """Whether replies can go anywhere but to the terminal."""
        return bool(self.evolution_url or self.cloud_access_token.get_secret_value())


class Loaded(pydantic.BaseModel):
    """The settings, and what looked like a mistake without being an error."""

    settings: ServerSettings
    warnings: tuple[str, ...]


def environment_names() -> dict[str, str]:
    """Every name that is read, and the field that it sets; those of the queue begin with `queue.`."""
    names = {name.upper(): name for name in ServerSettings.model_fields if name != "queue"}
    for field in dataclasses.fields(QueueSettings):
        name = field.name if field.name.startswith("queue_") else f"queue_{field.name}"
        names[name.upper()] = f"queue.{field.name}"
    return names


def environment() -> dict[str, str]:
    """This process's environment."""
    return dict(os.environ)


def load(environ: Mapping[str, str], env_file: Path | str = ENV_FILE) -> Loaded:
    """Settings from `environ`, which wins, and `env_file`, which need not exist. Empty values count as not set.

    Raises InvalidSettingsError, which lists every fault and shows no secret.
    """
    in_file = _from_file(Path(env_file))
    given = {name: value for name, value in {**in_file, **environ}.items() if value}
    names = environment_names()
    server = {
        names[name]: value for name, value in given.items() if names.get(name, "queue.")[:6] != "queue."
    }
    queue = {names[name][6:]: value for name, value in given.items() if names.get(name, "")[:6] == "queue."}
    faults: list[str] = []
    settings = ServerSettings()
    try:
        settings = ServerSettings.model_validate(server)
    except pydantic.ValidationError as error:
        faults += _worded(error, {field: name for name, field in names.items()})
    try:
        checked = pydantic.TypeAdapter(QueueSettings).validate_python(queue)
        settings = settings.model_copy(update={"queue": checked})
    except pydantic.ValidationError as error:
        faults += _worded(error, {field[6:]: name for name, field in names.items() if field[:6] == "queue."})
    faults += _contradictions(settings) if not faults else []
    if faults:
        raise InvalidSettingsError("\n".join(faults))
    return Loaded(settings=settings, warnings=tuple(_suspects(in_file, environ, names)))


def _from_file(path: Path) -> dict[str, str]:
    try:
        return {name: value for name, value in dotenv_values(path).items() if value is not None}
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettingsError(f"{path} cannot be read: {error}") from None


def _worded(error: pydantic.ValidationError, names: Mapping[str, str]) -> Iterator[str]:
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        field = str(fault["loc"][0]) if fault["loc"] else ""
        message = fault["msg"].removeprefix("Value error, ")
        if not field:  # QueueSettings speaks of its fields itself
            for name, environment_name in names.items():
                message = message.replace(name, environment_name) if len(name) > 6 else message
        yield f"{names.get(field, field)}: {message}" if field else message


def _contradictions(settings: ServerSettings) -> Iterator[str]:
    if url := settings.redis_url.get_secret_value():
        try:
            connect(url)
        except InvalidSettingsError as error:
            yield f"REDIS_URL: {error}"
    if settings.evolution_url and not settings.evolution_api_key.get_secret_value():
        yield "EVOLUTION_API_KEY: needed to send through EVOLUTION_URL"
    yield from _faults_of_ai(settings)
    yield from _faults_of_times(settings)
    yield from _faults_of_secrets(settings)


def _faults_of_ai(settings: ServerSettings) -> Iterator[str]:
    if settings.ai != "echo" and not settings.ai_url:
        yield f"AI_URL: needed for AI={settings.ai}"
    if settings.ai == "openai" and not settings.ai_model:
        yield "AI_MODEL: needed for AI=openai"
    if settings.ai == "dify" and not settings.ai_key.get_secret_value():
        yield "AI_KEY: needed for AI=dify"
    if any(not 0 <= wait_s <= 3_600 for wait_s in settings.ai_unavailable_waits_s):
        yield "AI_UNAVAILABLE_WAITS_S: each wait must be from 0 to 3600"


def _faults_of_times(settings: ServerSettings) -> Iterator[str]:
    if settings.ai_timeout_s * 1000 >= settings.queue.handler_timeout_ms:
        yield "AI_TIMEOUT_S: must be below QUEUE_HANDLER_TIMEOUT_MS, or a slow answer is never told from a stuck one"
    if settings.send_timeout_s * 1000 >= settings.queue.send_timeout_ms:
        yield "SEND_TIMEOUT_S: must be below QUEUE_SEND_TIMEOUT_MS"


def _faults_of_secrets(settings: ServerSettings) -> Iterator[str]:
    for name in ("operator_token", "evolution_webhook_secret"):
        if 0 < len(getattr(settings, name).get_secret_value()) < 16:
            yield f"{name.upper()}: shorter than 16 characters, which can be guessed"
    if settings.is_public and not settings.allow_unsigned_webhooks:
        secrets = (settings.evolution_webhook_secret, settings.cloud_app_secret)
        if not any(secret.get_secret_value() for secret in secrets):
            yield (
                f"HOST: {settings.host} can be reached by others, and anybody could post messages: set "
                "EVOLUTION_WEBHOOK_SECRET or CLOUD_APP_SECRET, or ALLOW_UNSIGNED_WEBHOOKS=true"
            )


def _suspects(
    in_file: Mapping[str, str], environ: Mapping[str, str], names: Mapping[str, str]
) -> Iterator[str]:
    """The file is ours; what else is in the environment is mostly somebody else's."""
    for name in sorted({*in_file, *environ} - set(names)):
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.85 if name in in_file else 0.9)
        if close or name.startswith(_PREFIXES if name in in_file else "QUEUE_"):
            hint = f"; did you mean {close[0]}?" if close else ""
            yield f"{name} is no setting and changes nothing{hint}"
