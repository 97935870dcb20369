"""The page of a replay, read as a browser reads it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from reports.pages.page import page_script
from reports.pages.replay.page import LARGE_SIZE_MAX, render_replay_report, write_replay_report
from reports.results.replay import ReplayResult
from tests.reports import example

BYTES_MAX = 500_000
VOID = {"meta", "br", "link", "img", "input", "hr"}
MARKUP = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "main",
        "section",
        "footer",
        "div",
        "span",
        "i",
    ),
    *(
        "h1",
        "h2",
        "h3",
        "h4",
        "p",
        "a",
        "b",
        "bdi",
        "strong",
        "small",
        "ul",
        "li",
        "dl",
        "dt",
        "dd",
        "pre",
        "code",
    ),
    *(
        "table",
        "caption",
        "thead",
        "tbody",
        "tfoot",
        "tr",
        "th",
        "td",
        "details",
        "summary",
        "figure",
        "figcaption",
    ),
    *("form", "label", "input", "button", "output"),
    *("svg", "desc", "g", "path", "rect", "circle", "text", "tspan", "br"),
}


def without_script(html: str) -> str:
    """Return the page without its script, which is the same in every page and holds no data."""
    script = f"<script>{page_script()}</script>"
    assert html.count(script) == 1
    return html.replace(script, "")


class Page(HTMLParser):
    """Strict parser of a page: elements must be closed in order, and attributes be unique."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.ids: list[str] = []
        self.text: list[str] = []
        self.within: list[tuple[str, str]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("td", "tr"):  # HTML needs no end tags in a table, and the overview has none
            self._end_cells(*(("td", "tr") if tag == "tr" else ("td",)))
        self._element(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._element(tag, attrs)

    def _element(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        self.elements.append((tag, dict(attrs)))
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def _end_cells(self, *tags: str) -> None:
        while self.open and self.open[-1] in tags:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag == "tbody":
            self._end_cells("td", "tr")
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["script"]):
            self.text.append(data)
            self.within.append((self.open[-1] if self.open else "", data))


@pytest.fixture(scope="module", params=["incident", "profiles", "hostile", "big day", "empty", "no answers"])
def rendered(request: pytest.FixtureRequest) -> str:
    return render_replay_report(_result(request.param))


def _result(name: str) -> ReplayResult:
    if name == "no answers":
        made = example.incident()
        for run in made["runs"]:
            run["batches"] = []
            for entry in run["ledger"]:
                entry["fate"], entry["answered_at_ms"] = "dead_lettered", None
        return made
    makers = {
        "incident": example.incident,
        "profiles": example.incident_with_profiles,
        "hostile": example.hostile,
        "big day": example.big_day,
    }
    return makers[name]() if name in makers else example.result([], [])


def test_every_page_is_sound(rendered: str) -> None:
    page = Page(without_script(rendered))
    assert {tag for tag, _ in page.elements} <= MARKUP
    assert len(page.ids) == len(set(page.ids))
    assert page.elements[0] == ("html", {"lang": "en", "dir": "ltr"})
    assert rendered.count("<title>Replay: ") == 1
    assert any(attrs.get("name") == "description" and attrs["content"] for _, attrs in page.elements)
    assert len(rendered.encode()) < BYTES_MAX


def test_no_page_runs_anything_or_asks_the_network_for_anything(rendered: str) -> None:
    for tag, attrs in Page(rendered).elements:
        assert not [name for name in attrs if name.startswith("on")], (tag, attrs)
        assert not {"src", "srcset", "action", "data", "xlink:href", "formaction"} & set(attrs)
        assert (attrs.get("href") or "#").startswith(("#", "data:text/csv;charset=utf-8;base64,"))
        assert "download" in attrs or not (attrs.get("href") or "#").startswith("data:")
        assert "url(" not in (attrs.get("style") or "")
    style = re.findall(r"<style>(.*?)</style>", rendered, re.DOTALL)
    assert len(style) == 1
    assert "url(" not in style[0]
    assert "@import" not in style[0]


def test_every_link_leads_somewhere(rendered: str) -> None:
    page = Page(rendered)
    named = [name for _, attrs in page.elements for name in (attrs.get("aria-labelledby") or "").split()]
    hrefs = [
        (attrs["href"] or "")[1:] for tag, attrs in page.elements if tag == "a" and "download" not in attrs
    ]
    assert set(named + hrefs) <= set(page.ids)


def test_every_figure_has_a_title_and_a_description(rendered: str) -> None:
    images = re.findall(r'<svg[^>]*role="img"[^>]*>(.*?)</svg>', rendered, re.DOTALL)
    for image in images[1:]:  # the first is the sign of the verdict, which has a label
        assert re.match(r"\s*<title id=[^>]+>[^<]+</title><desc id=[^>]+>[^<]+</desc>", image)


@pytest.mark.parametrize("name", ["incident", "hostile"])
def test_the_same_result_gives_the_same_bytes(name: str) -> None:
    assert render_replay_report(_result(name)) == render_replay_report(_result(name))


def test_hostile_text_stays_text_and_is_all_there() -> None:
    html = without_script(render_replay_report(example.hostile()))
    html.encode()
    seen = "".join(Page(html).text)
    for evil in example.HOSTILE[:5]:
        assert evil in seen
    assert "<script" not in html
    assert "<img" not in html
    assert "\u202e" not in html
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", html)


def test_no_phone_number_is_shown_in_full() -> None:
    html = render_replay_report(example.incident())
    assert "966500001234" not in html
    assert "…1234" in html
    assert not re.search(r"966500\d77123", render_replay_report(example.hostile()))


def test_the_verdict_comes_first_with_its_word() -> None:
    good, bad = (render_replay_report(example.incident(ok=ok)) for ok in (True, False))
    for html, word, kind in ((good, "OK", "verdict"), (bad, "Not OK", "verdict bad")):
        assert f'<div class="card {kind}">' in html
        assert f'<p class="word">{word}</p>' in html
        seen = "".join(Page(html).text)
        headline = seen.index("1 OF 2 EXPECTED OUTCOMES DID NOT MATCH")
        rest = seen.index("queue lost, duplicated and reordered none of 5\u00a0messages in 1\u00a0recording")
        assert headline < rest < seen.index("The systems compared")


def test_every_recording_and_system_is_in_the_summary_and_has_its_section() -> None:
    first, second = example.incident(), example.big_day(30, 6)
    both = example.result(
        first["recordings"] + second["recordings"],
        first["runs"] + second["runs"],
        expectations=first["expectations"],
    )
    html = render_replay_report(both)
    table = html[html.index('<table class="matrix"') :].split("</table>")[0]
    for system in both["systems"]:
        assert f'<th scope="col"><bdi>{system}</bdi></th>' in table
    assert '<a href="#r1"><bdi>incident.jsonl</bdi></a>' in table
    assert '<td class="bad">✗ 2 of 5</td>' in table
    assert "<td>✓ 0 of 5</td>" in table
    assert re.search(r'<section class="card" id="r2">.*?Title of day.jsonl', html, re.DOTALL)


def test_messages_lost_together_are_drawn_and_explained() -> None:
    html = render_replay_report(example.incident())
    marks = re.findall(r'<g class="lost"><title>(m\d): lost: ([^<]*)</title><rect', html)
    why = example.WHY.replace("\u2013", "\u2013\u2060")  # a range does not break at the end of a line
    alone = {number: why.replace("Messages 4 and 5", f"Message {number}") for number in (4, 5)}
    assert marks == [("m4", alone[4]), ("m5", alone[5])] * 2  # in the story, and in the recording's section
    assert re.search(r'<g class="loss"><title>4, 5 lost at 15.0\u00a0s', html)
    assert '<path class="vanished"' in html
    assert "<bdi>buffer-v1</bdi> lost 2\u00a0messages: <bdi>m4</bdi>, <bdi>m5</bdi>" in html
    assert html.count('<td class="bad">✗ lost</td>') == 2


def test_arabic_stands_in_logical_order_and_apart_from_what_surrounds_it() -> None:
    html = render_replay_report(example.incident())
    for text in example.ARABIC:
        assert f'<bdi dir="auto">{text}</bdi>' in html
        assert f'<tspan class="rtl" dx="5">{text}</tspan>' in html
    assert re.search(r"\.rtl \{[^}]*unicode-bidi: isolate", html)


def test_expectations_are_listed_with_those_that_failed_first() -> None:
    seen = "".join(Page(render_replay_report(example.incident())).text)
    assert "Of 3: 1 did not match, 1 not checked, 1 matched." in seen
    places = [
        seen.index(words) for words in ("did not match: queue", "not checked: queue", "matched: buffer-v1")
    ]
    assert places == sorted(places)


def test_loss_probabilities_are_shown_if_there_were_several_runs() -> None:
    made = example.incident(loss=[example.estimate(8, 100)])
    assert "Probability of losing" not in render_replay_report(made)
    recorded = made["recordings"][0]
    made["runs"].append(example.run(recorded, "buffer-v1", number=1))
    html = render_replay_report(made)
    assert '8 of 100</td><td class="bad">8.00\u00a0%</td><td>1.23\u00a0% to 45.7\u00a0%</td>' in html
    assert "3 of 20" in html
    assert html.count("Probability of losing a message</h3>") == 2  # over all recordings, and of this one
    assert '<td class="bad">✗ 2 of 10</td>' in html
    assert "✗ 2 (20.0\u00a0%)<br><small" in html  # among the systems compared, with its interval
    assert re.search(r'<small class="muted">5\.67\u00a0% to 51\.0\u00a0%</small>', html)


def test_of_several_runs_the_first_with_a_loss_is_drawn_and_all_losses_are_explained() -> None:
    made = example.incident(expectations=[])
    (recorded,) = made["recordings"]
    lossy, of_queue = made["runs"]
    clean = example.run(recorded, "buffer-v1")
    folded = {**lossy, "run": 2, "batches": [], "folded": {"turns": 0, "mean_first_ms": None}}
    made["runs"] = [clean, {**lossy, "run": 1}, folded, of_queue, {**of_queue, "run": 1}]  # type: ignore[list-item]
    html = render_replay_report(made)
    words = "Run 1 (of 0 to 2), the first with a loss"
    assert f'<p class="muted">{words}</p>' in html.split('id="story">')[1].split("</section>")[0]
    assert f"<caption>{words}. The faults, conversations and reply times below are of this run too; " in html
    seen = "".join(Page(html).text)
    assert "buffer-v1 lost 4\u00a0messages: m4, m5. " in re.sub("[\u2068\u2069]", "", seen)
    assert "Run " not in "".join(Page(render_replay_report(example.incident())).text)


def test_settings_seed_and_command_are_shown() -> None:
    seen = "".join(Page(render_replay_report(example.incident())).text)
    for words in (
        "seed7",
        "window8.0\u00a0s",
        "idleoff",
        "timer-dies=0.05",
        "python -m sim replay logs/ --seed 7",
    ):
        assert words in seen


def test_faults_and_runs_that_never_came_to_rest_are_reported() -> None:
    made = example.incident()
    for run in made["runs"]:
        run["faults"] = [
            {"name": "timer-dies", "rate": 0.1, "struck": 3},
            {"name": "redis-away", "start_ms": 8_000, "end_ms": 13_000, "struck": 1},
            {"name": "worker-dies", "start_ms": 900_000, "end_ms": 900_000, "struck": 0},
        ]
    made["runs"][0]["came_to_rest"] = False
    seen = "".join(Page(render_replay_report(made)).text)
    assert "buffer-v1 did not finish its work within 20.0\u00a0s." in seen
    assert "timer dead (10.0\u00a0%)" in seen
    assert "Redis away at 8\u00a0s for 5\u00a0s" in seen
    html = render_replay_report(made)
    figure = html[html.index('<svg class="swimlane"') :].split("</svg>")[0]
    shaded = figure.split('<g class="fault">')[1:]
    assert len(shaded) == 1, "one fault has no time, and one is not in the picture"
    assert "Redis away" in shaded[0]
    assert "http-fails" not in seen


def test_a_day_shows_conversations_with_losses_and_says_how_many_are_left_out() -> None:
    html = render_replay_report(example.big_day())
    drawn = html.count("<h4 id=")
    assert drawn == 8
    seen = "".join(Page(html).text)
    assert (
        "8\u00a0conversations are drawn: those asked for, then those with losses, then the slowest. "
        "292\u00a0more are not drawn, to keep the page small. To see one, have the replay write its result "
        "with --json RESULT.json, and run python -m reports build RESULT.json --draw NUMBER."
    ) in seen
    assert "8\u00a0are drawn below: their numbers are links." in seen
    figures = re.findall(r'<svg class="swimlane" direction="ltr" role="img".*?</svg>', html, re.DOTALL)
    assert len(figures) == drawn + 1  # the story's
    assert all('<g class="loss">' in figure for figure in figures)


def test_an_arabic_page_says_which_conversations_are_drawn_and_how_to_see_another() -> None:
    html = render_replay_report(example.big_day(), "ar")
    assert "رُسمت 8\u00a0" in html
    assert "لم تُرسَم 292\u00a0" in html
    assert "python -m reports build RESULT.json --draw NUMBER" in html


def test_a_conversation_that_is_asked_for_is_drawn_first() -> None:
    result = example.big_day()
    assert "Conversation 298:" not in render_replay_report(result)
    html = render_replay_report(result, draw=[298])
    assert re.findall(r'<h4 id="r1c\d">(Conversation \d+:)', html)[0] == "Conversation 298:"
    assert re.search(r'<a href="#r1c0">298</a>', html)
    assert html.count("<h4 id=") == 8


def test_a_conversation_that_is_asked_for_is_drawn_before_smaller_ones_of_other_recordings() -> None:
    messages = [example.message(turn, turn * 3000, "x" * 400, phone=f"{turn % 40}") for turn in range(1200)]
    messages += [example.message(turn, turn * 3000, "x" * 400, phone="last") for turn in range(1200, 1230)]
    recordings = [
        example.recording(f"{name}.jsonl", messages[: 1230 if name == 0 else 1200]) for name in range(12)
    ]
    runs = [example.run(recorded, f"system-{number}") for recorded in recordings for number in range(5)]
    html = render_replay_report(example.result(recordings, runs), draw=[41])
    assert "Conversation 41:" in html


def test_what_has_no_room_is_left_out_and_counted() -> None:
    messages = [example.message(turn, turn * 3000, "x" * 400, phone=f"{turn % 40}") for turn in range(1200)]
    recordings = [example.recording(f"{name}.jsonl", messages) for name in range(12)]
    runs = [example.run(recorded, f"system-{number}") for recorded in recordings for number in range(5)]
    html = render_replay_report(example.result(recordings, runs))
    assert len(html.encode()) < BYTES_MAX
    drawn = [html.count(f'<h4 id="r{number}c') for number in range(1, 13)]
    assert 0 in drawn
    for number in drawn:
        words = f"{40 - number}\u00a0more are not" if number else "None of the 40\u00a0conversations is"
        assert f"{words} drawn, to keep the page small." in html


def test_each_recording_in_which_something_went_wrong_has_the_picture_of_its_worst_conversation() -> None:
    """Small conversations of other recordings, which would fill the page, come after them."""
    quiet = [example.message(turn, turn * 3000, "x" * 400, phone=f"{turn % 40}") for turn in range(1200)]
    recordings = [example.recording(f"{name}.jsonl", quiet) for name in range(6)]
    runs = [example.run(recorded, f"system-{number}") for recorded in recordings for number in range(5)]
    for name in range(6):
        long = [example.message(turn, turn * 3000, "x" * 400, phone="long") for turn in range(100)]
        short = [example.message(turn, turn * 3000, "short", phone="short") for turn in range(100, 102)]
        recorded = example.recording(f"harmed-{name}.jsonl", [*short, *long])
        lost = [("long", message["id"]) for message in long[:9]] + [("short", "m100")]
        recordings.append(recorded)
        runs += [example.run(recorded, f"system-{number}", lost=lost) for number in range(5)]
    html = render_replay_report(example.result(recordings, runs))
    headings = re.findall(r'<h4 id="r(\d+)c0">Conversation \d+: user <bdi>(\w+)</bdi>', html)
    assert [user for recording, user in headings if int(recording) > 6] == ["long"] * 6
    assert len(html.encode()) <= LARGE_SIZE_MAX


def test_a_recording_that_is_not_drawn_says_how_many_conversations_it_has_and_how_to_draw_one() -> None:
    messages = [example.message(turn, turn * 3000, "x" * 400, phone=f"{turn % 40}") for turn in range(1200)]
    recordings = [example.recording(f"{name}.jsonl", messages) for name in range(12)]
    runs = [example.run(recorded, f"system-{number}") for recorded in recordings for number in range(5)]
    seen = "".join(Page(render_replay_report(example.result(recordings, runs))).text)
    assert (
        "None of the 40\u00a0conversations is drawn, to keep the page small. To see one, have the replay write its "
        "result with --json RESULT.json, and run python -m reports build RESULT.json --draw NUMBER."
    ) in seen


def test_long_texts_are_cut_and_their_length_is_shown() -> None:
    messages = [example.message(1, 0, "ل" * 70_000)]
    recorded = example.recording("r", messages)
    html = render_replay_report(example.result([recorded], [example.run(recorded, "queue")]))
    assert "(70,000\u00a0characters in all)" in html
    assert len(html.encode()) < 60_000


def test_the_file_is_written_whole_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "replay.html"
    write_replay_report(example.incident(), path)
    assert path.read_text("utf-8") == render_replay_report(example.incident())
    assert [file.name for file in path.parent.iterdir()] == ["replay.html"]


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "replay.html"
    target.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_replay_report(example.incident(), target)
    assert list(tmp_path.iterdir()) == [target]


def test_endless_texts_beside_the_messages_are_cut() -> None:
    result = example.incident()
    long = "long " * 20_000
    recording = result["recordings"][0]
    recording["title"] = recording["source"] = recording["notes"] = long
    recording["settings"] = {"ai": long}
    result["settings"]["ai"] = result["command"] = long
    assert len(render_replay_report(result).encode()) < 150_000


def test_dropped_answers_are_in_tables_figures_and_legend_only_where_there_are_any() -> None:
    with_dropped = render_replay_report(example.incident_with_profiles())
    without = render_replay_report(example.incident())
    shown = (
        "answers dropped",
        'class="batch superseded"',
        "a batch whose answer was dropped",
        "drops the answer",
    )
    assert [words in with_dropped for words in shown] == [True] * 4
    assert [words in without for words in shown] == [False] * 4
    assert with_dropped.count(">1 (7.0\u00a0s)</td>") == 2  # in the summary, and in the recording's table


def test_the_reasons_of_broken_lines_are_inert_and_the_rest_is_counted() -> None:
    evil = "is not JSON: <img src=x>\u202e" + "x" * 500
    skipped = [{"line": 1234, "reason": evil}]
    recorded = example.recording("r", [example.message(1, 0, "x")], skipped_lines=3, skipped=skipped)
    html = render_replay_report(example.result([recorded], [example.run(recorded, "queue")]))
    seen = "".join(Page(html).text)
    assert "line 1,234: is not JSON: <img src=x>" in seen
    assert "and 2\u00a0more" in seen
    assert "<img" not in html
    assert "\u202e" not in html
    assert "x" * 201 not in html


def test_a_user_and_an_instance_are_named_as_such_in_a_heading() -> None:
    recorded = example.recording("r.jsonl", [example.message(1, 0, "hello", phone="a", instance="bot")])
    html = render_replay_report(example.result([recorded], [example.run(recorded, "queue")]))
    assert "Conversation 1: user <bdi>a</bdi>, instance <bdi>bot</bdi>" in html


def test_the_rules_of_each_queue_stand_in_the_settings() -> None:
    settings = "".join(Page(render_replay_report(example.incident_with_profiles())).text)
    assert "window: 8.0\u00a0s, max messages: 0, idle: 3.0\u00a0s" in settings
