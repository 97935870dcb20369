"""Shortening of messages that are too large."""

from __future__ import annotations

import msgspec

from queue_core.message import as_edit, change_of, encode
from queue_core.server.fitting import CUT, fit
from tests.queue_core.bot import message


def test_both_texts_of_a_large_edit_are_cut() -> None:
    edit = as_edit(msgspec.structs.replace(message("e"), message='"' * 60_000), "m")
    fitted = fit(edit, 40_000)
    change = fitted.message.message_data["change"]
    assert (fitted.missing, change_of(fitted.message)) == ("text", change_of(edit))
    assert change["text"].endswith(CUT)
    assert fitted.message.message == change["text"]
    assert 3_000 < len(change["text"]) < 20_000
    encode(fitted.message, 40_000)


def test_a_large_webhook_is_left_out_and_nothing_else() -> None:
    data = {"kind": "image", "media": {"url": "https://x/1"}, "addresses": {"phone": "1", "lid": "2@lid"}}
    large = msgspec.structs.replace(message("m"), message_data={**data, "webhook": {"body": "x" * 50_000}})
    fitted = fit(large, 40_000)
    assert fitted.missing == "webhook"
    assert fitted.message.message_data == {**data, "webhook": {"omitted": "too large"}}


def test_large_data_are_left_out_with_the_webhook() -> None:
    data = {"kind": "interactive", "reply_to": "1", "form": {"fields": {"a": "x" * 50_000}}, "webhook": {}}
    fitted = fit(msgspec.structs.replace(message("m"), message_data=data), 40_000)
    assert fitted.missing == "webhook"
    assert fitted.message.message_data == {
        "kind": "interactive",
        "reply_to": "1",
        "webhook": {"omitted": "too large"},
    }


def test_an_edit_that_fits_is_whole() -> None:
    edit = as_edit(message("e"), "m")
    assert fit(edit, 40_000).message == edit
