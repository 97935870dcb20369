"""The README is the front door: what it shows must work, and what it lists must be there."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import re
from pathlib import Path
from typing import Any

from pydantic import SecretStr

import queue_core
from queue_core import QueueSettings
from queue_core.redis_server.embedded import EmbeddedRedis
from queue_core.server.config import ServerSettings, environment_names, load

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text("utf-8")


async def test_the_ten_lines_answer_a_turn(redis_server: EmbeddedRedis) -> None:
    """The code block as it stands, with a stub for the reader's own AI and WhatsApp."""
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    code = code.replace("redis://localhost:6379/0", redis_server.url)
    head, forever = code.rstrip().rsplit("\n", 1)
    sent: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    async def my_ai(text: str) -> str:
        return f"you wrote: {text}"

    async def my_whatsapp(phone: str, reply: str) -> None:
        await sent.put((phone, reply))

    names: dict[str, Any] = {"my_ai": my_ai, "my_whatsapp": my_whatsapp}
    exec(head, names)
    running = asyncio.create_task(eval(re.fullmatch(r"asyncio\.run\((.*)\)", forever)[1], names))  # type: ignore[index]
    for number in range(5):
        await names["webhook"]("bot", "966", f"m{number}", f"line {number}", {"from": "WhatsApp"}, 0)
    async with asyncio.timeout(20):
        phone, reply = await sent.get()
    assert (phone, reply) == ("966", "you wrote: " + "\n".join(f"line {number}" for number in range(5)))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await names["queue"].redis.aclose()
    await names["queue"].redis.connection_pool.disconnect()


def test_every_setting_stands_in_the_table_with_its_default() -> None:
    table = README.split("### Settings of the queue")[1].split("## ")[0]
    rows = [row.split("|")[1:3] for row in table.splitlines() if row.startswith("| `")]
    told: dict[str, str] = {}
    for names, defaults in rows:
        found = re.findall(r"`(\w+)`", names)
        values = defaults.replace("`", "").split(", ")
        told |= dict(zip(found, values, strict=True))
    assert set(told) == {field.name for field in dataclasses.fields(QueueSettings)}
    for field in dataclasses.fields(QueueSettings):
        default = "off" if field.default is False else str(field.default)
        assert told[field.name].split()[0] == default, field.name


def test_every_setting_of_the_server_stands_in_the_table_with_its_default() -> None:
    table = README.split("### Settings of the server")[1].split("\n## ")[0]
    told = dict(re.findall(r"^\| `(\w+)` \| (?:`([^`]*)`)? ?\|", table, re.MULTILINE))
    settings = ServerSettings()
    defaults = settings.model_dump(exclude={"queue", "providers"})
    for provider in settings.providers:
        defaults |= {f"{provider.name}_{field}": value for field, value in provider}
    assert list(told) == [
        name for name, field in environment_names().items() if not field.startswith("queue.")
    ]
    environment = {name: value for name, value in told.items() if value}
    assert load(environment, os.devnull).settings == settings
    missing = {name for name, value in told.items() if not value}
    assert missing == {name.upper() for name, value in defaults.items() if _is_empty(value)}


def _is_empty(value: object) -> bool:
    return (value.get_secret_value() if isinstance(value, SecretStr) else value) in ("", None, ())


def test_what_it_names_exists() -> None:
    for path in re.findall(r"\]\(([^)#]+)\)", README):
        assert (REPOSITORY / path).is_file(), path
    for name in re.findall(r"`(?:queue\.)?(\w+Error|\w*Settings|Intake|Processor|MessageQueue)\b", README):
        assert hasattr(queue_core, name), name
    makefile = (REPOSITORY / "Makefile").read_text("utf-8")
    for target in re.findall(r"(?:`|^    )make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    recordings = len(list((REPOSITORY / "logs").glob("*.jsonl")))
    assert f"all {recordings} recordings" in README
