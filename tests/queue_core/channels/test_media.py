"""Inline media is replaced, and nothing that a person wrote is."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from queue_core.channels.media import without_media

PHOTO = base64.b64encode(bytes(range(256)) * 40).decode()


def test_a_photo_becomes_its_length_and_hash() -> None:
    kept = without_media({"message": {"imageMessage": {"caption": "look"}, "base64": PHOTO}}, 1_000)
    assert kept == {
        "message": {
            "imageMessage": {"caption": "look"},
            "base64": {
                "omitted": "base64",
                "bytes": 10_240,
                "sha256": hashlib.sha256(PHOTO.encode()).hexdigest(),
            },
        }
    }


@pytest.mark.parametrize("value", [PHOTO, f"data:image/jpeg;base64,{PHOTO}", PHOTO.replace("A", "A\r\n")])
def test_media_is_found_under_any_name_and_in_any_wrapper(value: str) -> None:
    assert without_media([{"anything": [value]}], 1_000)[0]["anything"][0]["omitted"] == "base64"


def test_media_is_known_by_its_name_even_if_it_is_not_clean_base64() -> None:
    assert without_media({"base64": PHOTO + "… (cut)"}, 1_000)["base64"]["omitted"] == "base64"


@pytest.mark.parametrize("data", [[255] * 2_000, {str(at): at % 256 for at in range(2_000)}])
def test_bytes_as_javascript_writes_them_are_media(data: Any) -> None:
    assert without_media({"jpegThumbnail": data}, 1_000) == {
        "jpegThumbnail": {"omitted": "bytes", "bytes": 2_000}
    }


def test_short_media_stays() -> None:
    value = {"mediaKey": PHOTO[:60], "list": [1, 2, 3]}
    assert without_media(value, 1_000) == value


@pytest.mark.parametrize("key", ["conversation", "text", "caption", "body"])
def test_what_a_person_wrote_is_never_taken_for_media(key: str) -> None:
    """Not even a text of thousands of letters and spaces."""
    value = {key: "hahaha " * 2_000}
    assert without_media(value, 1_000) == value


def test_other_long_texts_stay() -> None:
    value = {"url": "https://example.invalid/?" + "x=1&" * 2_000}
    assert without_media(value, 1_000) == value


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", ["A", "A ", "=", " ", "A=", "data:a/b;base64,", "ع"])
def test_a_long_value_takes_linear_time(piece: str) -> None:
    without_media({"x": piece * (5_000_000 // len(piece))}, 1_000)
