"""Types of settings that come from the environment: a base class of groups, addresses, and secrets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, StringConstraints

SECRET_CHARACTERS_MIN = 16


class EnvironmentSettings(BaseModel):
    """Base of a group of settings. Unknown names are refused, and an error shows no value."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True)


def _base_url(value: Any) -> Any:
    return value.strip().rstrip("/") if isinstance(value, str) else value


Url = Annotated[str, BeforeValidator(_base_url), Field(pattern=r"^(https?://[^\s/?#]+[^\s?#]*)?$")]
"""An HTTP address without query and without a slash at its end; may be empty."""


WholeUrl = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^(https?://[^\s/?#]+[^\s#]*)?$")]
"""An HTTP address that is used as it is, perhaps with a query; may be empty."""


def faults_of_secret(environment_name: str, secret: SecretStr) -> Iterator[str]:
    """Yield a sentence about a secret that is set and too short."""
    if 0 < len(secret) < SECRET_CHARACTERS_MIN:
        yield f"{environment_name}: can be guessed; give it {SECRET_CHARACTERS_MIN} characters or more"
