"""The page of an audit: the sentence first, every figure, the worst conversations drawn, hostile text inert."""

from __future__ import annotations

import base64
import re
from html import unescape

from reports.pages.audit.page import render_audit_report
from tests.reports import audit_example
from tests.reports.example import HOSTILE
from tests.reports.pages.test_replay_report import Page

SIZE_MAX = 500_000


def text_of(html: str) -> str:
    return "".join(Page(html).text).replace("\u00a0", " ")


def test_the_sentence_is_first_and_the_worst_conversation_is_drawn() -> None:
    html = render_audit_report(audit_example.bad_day())
    seen = text_of(html)
    assert '<p class="word">Not OK</p>' in html
    assert seen.index("On 2026-03-06, 1 of 6 messages from 2 users got no reply") < seen.index("The figures")
    assert "1 of 4 without a reply: 4" in seen
    assert "✗ no reply" in seen
    assert "bot: 1\u20133" in seen.replace("\u2060", "")
    assert "person: 2" in seen
    assert len(html) < SIZE_MAX


def test_a_message_that_was_probably_not_read_is_marked_in_its_row_and_its_picture() -> None:
    seen = text_of(render_audit_report(audit_example.bad_day()))
    assert "~ 1.0 s, probably not read" in seen
    assert "1 of 4 probably not read: 3" in seen


def test_a_perfect_day_is_ok_and_shows_no_conversation() -> None:
    html = render_audit_report(audit_example.perfect())
    assert '<p class="word">OK</p>' in html
    assert "Where most went wrong" not in html


def test_an_arabic_page_keeps_the_parts_of_a_day_in_order() -> None:
    html = render_audit_report(audit_example.bad_day(), "ar")
    assert "\u20662026-03-06\u2069" in html
    assert 'dir="rtl"' in html


def test_the_command_repeats_the_page_in_its_language() -> None:
    result = audit_example.bad_day()
    assert f"{result['command']}</code>" in render_audit_report(result)
    assert f"{result['command']} --lang ar</code>" in render_audit_report(result, "ar")


def test_arabic_names_of_lanes_are_not_joined_to_what_follows() -> None:
    html = unescape(render_audit_report(audit_example.bad_day(), "ar"))
    assert re.search('<text class="system"[^<]*[\u0621-\u064a]\u200c\u200e<tspan', html)


def test_hostile_text_is_inert() -> None:
    html = render_audit_report(audit_example.hostile())
    names = [name for name, _ in Page(html).elements]
    assert (names.count("script"), names.count("img")) == (1, 0)
    for text in HOSTILE[:2]:
        assert text not in html


def test_downloads_say_what_went_wrong_without_phone_numbers() -> None:
    html = render_audit_report(audit_example.bad_day())
    files = [base64.b64decode(data).decode() for data in re.findall(r"base64,([A-Za-z0-9+/=]+)\"", html)]
    trouble = next(text for text in files if "trouble" in text)
    assert "friday.jsonl,2026-03-06 13:00:17,bot,…0001,m4,unanswered" in trouble
    assert "966500000001" not in trouble
