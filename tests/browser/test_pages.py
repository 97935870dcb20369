"""Every page in a browser: it shows itself, all of it, in both colour schemes, on every width, and does nothing else."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.conftest import Opened
from tests.browser.pages import ARABIC, HOSTILE, PAGES, READABLE

WIDTHS = (400, 800, 1280)
SCHEMES = ("light", "dark")
CONTRAST_MIN = 4.5
"""WCAG 2.1, success criterion 1.4.3."""

LARGE_CONTRAST_MIN = 3.0
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
_CONTRAST = """() => {
  const channel = (value) => { value /= 255; return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4; };
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const back = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = new Map();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(), seen = 0; node && seen < 6000; node = walker.nextNode(), seen += 1) {
    const element = node.parentElement;
    if (!node.textContent.trim() || element.closest("svg,script,[hidden]") || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const colour = parse(style.color);
    if (colour[3] === 0) continue;
    const [lighter, darker] = [luminance(colour), luminance(back(element))].sort((a, b) => b - a);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    const ratio = (lighter + 0.05) / (darker + 0.05);
    const key = `${element.tagName}.${element.className} ${style.color} on ${back(element)}`;
    if (ratio < (large ? LARGE : SMALL)) found.set(key, ratio.toFixed(2));
  }
  return Array.from(found, ([key, ratio]) => `${key}: ${ratio}`);
}""".replace("SMALL", str(CONTRAST_MIN)).replace("LARGE", str(LARGE_CONTRAST_MIN))
_LIGHTNESS = """() => {
  const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number);
  return (r + g + b) / 765;
}"""
LINE_PX_MAX = 240
"""Limit on the width of a line: 229 in Noto Sans, 252 in DejaVu Sans."""
_LINE_WIDTH = """() => {
  const canvas = document.createElement("canvas").getContext("2d");
  canvas.font = "16px " + getComputedStyle(document.body).fontFamily;
  return canvas.measureText("Results by system 0123456789").width;
}"""
_SCROLLING_TABLES = """() => Array.from(document.querySelectorAll(".scroll:has(table)"))
  .filter((region) => region.scrollWidth > region.clientWidth + 1)
  .map((region) => region.getAttribute("aria-label"))"""
_WORDS_OF_THRESHOLDS = """() => Array.from(document.querySelectorAll("#thresholds tbody th bdi")).flatMap((name) => {
  const text = name.firstChild, range = document.createRange();
  return Array.from(text.data.matchAll(/\\S+/g), (word) => {
    range.setStart(text, word.index); range.setEnd(text, word.index + word[0].length);
    return [word[0], range.getClientRects().length];
  });
})"""
"""Each word of the names of thresholds, with the number of lines on which it stands."""
_SVG_OVERFLOW = """() => Array.from(document.querySelectorAll("svg[role=img]")).flatMap((svg) => {
  const box = svg.viewBox.baseVal;
  if (!svg.checkVisibility()) return [];
  return Array.from(svg.querySelectorAll("text")).filter((text) => text.textContent.trim()).flatMap((text) => {
    const own = text.getBBox(), matrix = text.getCTM(), root = svg.getCTM();
    const point = (x, y) => new DOMPoint(x, y).matrixTransform(root.inverse().multiply(matrix));
    const corners = [point(own.x, own.y), point(own.x + own.width, own.y + own.height)];
    const out = corners.some((one) => one.x < box.x - 3 || one.x > box.x + box.width + 3 || one.y < box.y - 3 || one.y > box.y + box.height + 3);
    return out ? [text.textContent + ` ${corners[0].x.toFixed()}..${corners[1].x.toFixed()}`] : [];
  });
})"""


def skip_if_font_is_wide(page: Opened) -> None:
    """Skip where the machine has none of the fonts that pages name, and the one in their place is wide (DejaVu Sans)."""
    if page.evaluate(_LINE_WIDTH) > LINE_PX_MAX:
        pytest.skip("the fonts of this machine are wider than those of the pages: install Noto Sans")


@pytest.mark.parametrize("name", list(PAGES))
def test_a_page_fits_every_width_in_both_schemes_and_does_nothing_else(
    name: str, opened: Callable[..., Opened]
) -> None:
    page = opened(name)
    for scheme in SCHEMES:
        page.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type] # one of the two above
        assert (page.evaluate(_LIGHTNESS) < 0.3) == (scheme == "dark")
        for width in WIDTHS:
            page.page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate(SIDEWAYS) <= 0, f"{width} px: the page scrolls sideways"
            _save_screenshot(page, name, f"{width}-{scheme}")
    page.check()


def _save_screenshot(page: Opened, name: str, what: str) -> None:
    """Save a screenshot if SCREENSHOTS names a folder."""
    if folder := os.environ.get("SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        file = Path(folder) / f"{re.sub('[^a-z]+', '-', name.lower())}-{what}.png"
        page.page.screenshot(
            path=file,
            clip={"x": 0, "y": 0, "width": int(what.split("-", maxsplit=1)[0]), "height": 3000},
            full_page=True,
        )


@pytest.mark.parametrize(
    "name", [name for name in READABLE if name not in ("many conversations", "endless comparison")]
)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_text_has_enough_contrast(name: str, scheme: str, opened: Callable[..., Opened]) -> None:
    page = opened(name, color_scheme=scheme)
    assert page.evaluate(_CONTRAST) == []


@pytest.mark.parametrize("name", [*ARABIC, "incident", "load", "worse comparison", "day"])
def test_words_in_drawings_stay_inside(name: str, opened: Callable[..., Opened]) -> None:
    assert opened(name).evaluate(_SVG_OVERFLOW) == []


@pytest.mark.parametrize("name", READABLE)
def test_no_table_scrolls_sideways_on_a_common_screen(name: str, opened: Callable[..., Opened]) -> None:
    page = opened(name, width=1200)
    skip_if_font_is_wide(page)
    page.evaluate("() => document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert page.evaluate(_SCROLLING_TABLES) == []


def test_no_name_of_a_threshold_is_broken_inside_a_word_on_a_narrow_screen(
    opened: Callable[..., Opened],
) -> None:
    page = opened("load", width=400)
    page.evaluate("() => { document.body.style.letterSpacing = '0.15em'; }")  # as with a wider font
    words = page.evaluate(_WORDS_OF_THRESHOLDS)
    assert ["acknowledgement", 1] in words
    assert [word for word, lines in words if lines > 1] == []


@pytest.mark.parametrize("name", READABLE)
def test_ids_drawings_headings_and_links_of_a_page_are_sound(
    name: str, opened: Callable[..., Opened]
) -> None:
    page = opened(name)
    ids = page.evaluate("Array.from(document.querySelectorAll('[id]'), (one) => one.id)")
    assert len(ids) == len(set(ids))
    unnamed = """Array.from(document.querySelectorAll('svg[role=img]')).filter((svg) => {
        const ids = (svg.getAttribute('aria-labelledby') || '').split(' ').filter(Boolean);
        return !svg.getAttribute('aria-label') && !(ids.length && ids.every((id) => document.getElementById(id)?.textContent));
    }).length"""
    assert page.evaluate(unnamed) == 0
    levels = page.evaluate(
        "Array.from(document.querySelectorAll('h1,h2,h3,h4'), (one) => Number(one.tagName[1]))"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    unlabelled = "Array.from(document.querySelectorAll('.scroll')).filter((one) => one.tabIndex !== 0 || !one.getAttribute('aria-label')).length"
    assert page.evaluate(unlabelled) == 0
    dangling = "Array.from(document.querySelectorAll('a[href^=\"#\"]')).filter((one) => !document.getElementById(one.hash.slice(1))).length"
    assert page.evaluate(dangling) == 0


@pytest.mark.parametrize("name", ["incident", "many conversations", "worse comparison", "load"])
def test_the_keyboard_reaches_everything_and_shows_where_it_is(
    name: str, opened: Callable[..., Opened]
) -> None:
    page = opened(name)
    reached = set()
    for _ in range(25):
        page.page.keyboard.press("Tab")
        tag, outline = page.evaluate(
            "[document.activeElement.tagName, getComputedStyle(document.activeElement).outlineStyle]"
        )
        if tag == "BODY":
            break
        reached.add(tag)
        assert outline not in ("none", ""), f"<{tag}> does not show that it has the focus"
    assert {"SUMMARY", "DIV"} <= reached


@pytest.mark.parametrize("name", ["incident", "many conversations", "load", "worse comparison"])
def test_a_page_can_be_read_without_javascript(name: str, opened: Callable[..., Opened]) -> None:
    page = opened(name, java_script_enabled=False)
    assert page.page.locator(".verdict .sentence").is_visible()
    assert page.page.locator("table").first.is_visible()
    assert page.page.locator("form:visible").count() == 0
    if name == "many conversations":
        assert page.page.locator("#overview-table tbody tr").count() == 10_000
    page.check()


@pytest.mark.parametrize(
    "name", ["incident", "many conversations", "load", "worse comparison", "incident in Arabic"]
)
def test_a_page_can_be_printed(name: str, opened: Callable[..., Opened]) -> None:
    page = opened(name, width=760)
    page.page.emulate_media(media="print")
    skip_if_font_is_wide(page)
    assert page.evaluate(SIDEWAYS) <= 0
    shown = page.evaluate(
        "Array.from(document.querySelectorAll('details > :not(summary)')).every((one) => one.checkVisibility())"
    )
    assert shown, "what is folded on the screen is not on paper"
    pages = len(re.findall(rb"/Type\s*/Page\b", page.page.pdf(format="A4")))
    assert 1 <= pages <= 25


@pytest.mark.parametrize("name", ARABIC)
def test_an_arabic_page_runs_from_right_to_left(name: str, opened: Callable[..., Opened]) -> None:
    page = opened(name)
    assert page.evaluate("[document.documentElement.lang, getComputedStyle(document.body).direction]") == [
        "ar",
        "rtl",
    ]
    place = "(one) => one.getBoundingClientRect().x"
    cells = "document.querySelector('thead tr').cells"
    first, last = page.evaluate(f"[Array.from({cells}).at(0), Array.from({cells}).at(-1)].map({place})")
    assert first > last
    assert page.evaluate(
        "Array.from(document.querySelectorAll('svg.plot, svg.swimlane'), (one) => getComputedStyle(one).direction).every((one) => one === 'ltr')"
    )
    heading = page.page.locator("h1").text_content() or ""
    assert re.search("[\u0600-\u06ff]", heading)


@pytest.mark.parametrize("name", HOSTILE)
def test_what_people_write_stays_text(name: str, opened: Callable[..., Opened]) -> None:
    page = opened(name)
    tags = set(
        page.evaluate("Array.from(document.querySelectorAll('*'), (one) => one.tagName.toLowerCase())")
    )
    assert not tags & {"img", "iframe", "object", "embed", "base", "link", "audio", "video"}
    assert page.evaluate("document.scripts.length") == 1
    handlers = "Array.from(document.querySelectorAll('*')).flatMap((one) => one.getAttributeNames()).filter((one) => one.startsWith('on'))"
    assert page.evaluate(handlers) == []
    links = page.evaluate(
        "Array.from(document.querySelectorAll('[href]'), (one) => one.getAttribute('href'))"
    )
    assert all(link.startswith(("#", "data:text/csv;charset=utf-8;base64,")) for link in links)
    text = page.evaluate("document.body.textContent")
    assert "<script>alert(1)</script>" in text
    assert "{{ 7 * 7 }}" in text
    assert not re.search("[\u202a-\u202e\x00-\x08]", text)
    page.check()


def test_lines_to_batches_cross_neither_labels_nor_batches_without_an_answer(
    opened: Callable[..., Opened],
) -> None:
    """A label beside its batch covers what is beneath it; so does a batch whose answer was dropped."""
    fill = "getComputedStyle(document.querySelector('.swimlane .batch%s')).fill"
    assert opened("profiles in Arabic").evaluate(fill % ".superseded rect") != "none"
    page = opened("audit in Arabic")
    assert page.evaluate(fill % " .beneath") != "none"
    uncovered = """() => Array.from(document.querySelectorAll(".swimlane .batch .beneath")).filter((cover) => {
      const [inner, outer] = [cover.nextElementSibling.getBBox(), cover.getBBox()];
      return inner.x < outer.x || inner.x + inner.width > outer.x + outer.width + 1;
    }).length"""
    assert page.evaluate(uncovered) == 0


def test_an_override_of_direction_in_a_text_does_not_turn_the_cells_beside_it(
    opened: Callable[..., Opened],
) -> None:
    page = opened("hostile replay")
    order = """Array.from(document.querySelectorAll('#summary tbody tr')).every((row) =>
        Array.from(row.cells).every((cell, at, all) => !at || cell.getBoundingClientRect().x > all[at - 1].getBoundingClientRect().x))"""
    assert page.evaluate(order)


@pytest.mark.parametrize("name", list(PAGES))
def test_a_page_is_small(name: str, page_file: Callable[[str], Path]) -> None:
    assert page_file(name).stat().st_size < (1_500_000 if name == "many conversations" else 500_000)


def test_a_figure_that_is_too_wide_begins_at_the_start_of_time_in_arabic_too(
    opened: Callable[..., Opened],
) -> None:
    page = opened("incident in Arabic")
    page.page.set_viewport_size({"width": 400, "height": 900})
    begun = page.evaluate(
        """() => Array.from(document.querySelectorAll("figure > .scroll")).map((box) => {
          const drawing = box.querySelector("svg").getBoundingClientRect(), own = box.getBoundingClientRect();
          return drawing.width <= own.width || drawing.left >= own.left;
        })"""
    )
    assert len(begun) >= 3
    assert all(begun)
