"""Comparisons to show: a clean one, one with everything worse, a hostile one, an endless one. All made up."""

from __future__ import annotations

from collections.abc import Sequence

from reports.compare.comparison import Change, Check, Comparison, Effect, Figures, Level, Origin
from reports.words.verdicts import Verdict
from tests.reports.example import HOSTILE

ORIGIN = Origin("python -m sim replay logs --seed 1", 1, [("ai", "lognormal:4.5s:9s"), ("window_ms", "8000")])
OTHER_ORIGIN = Origin("python -m sim replay logs --seed 1", 1, [("ai", "constant:6s"), ("window_ms", "8000")])


def clean() -> Comparison:
    return Comparison(
        kind="replay",
        verdict=Verdict("No difference."),
        before=ORIGIN,
        after=ORIGIN,
        notes=[],
        changes=[],
        effects=[],
        checks=[
            Check("queue", "loses no message", True, ""),
            Check("incident.jsonl: queue", "lost", True, "lost: none, as expected"),
        ],
        figures=[Figures("queue", {"sent": (5, 5), "lost": (0, 0), "wait_p95_ms": (15_047, 15_047)})],
    )


def effect(level: Level | str = "worse", **more: object) -> Effect:
    made: dict[str, object] = {
        "level": level,
        "group": "last message to reply",
        "name": "p95",
        "unit": "ms",
        "before": 10_000.0,
        "after": 13_000.0,
        "difference": 3000.0,
        "low": 2500.0,
        "high": 3500.0,
        "confidence": 0.995,
        "delta": 0.45,
        "samples": (2000, 1800),
        "relative_min": 0.1,
        "absolute_min": 5.0,
        "threshold": "10.0 % and 5 ms",
        **more,
    }
    return Effect(**made)  # type: ignore[arg-type] # the keys are an Effect's


def worse() -> Comparison:
    """Return a comparison with something of every kind."""
    return Comparison(
        kind="replay",
        verdict=Verdict("Worse: queue lost 1 message it answered before", "1 better."),
        before=ORIGIN,
        after=OTHER_ORIGIN,
        notes=["The setting ai differs: lognormal:4.5s:9s before, constant:6s now."],
        changes=[
            Change(
                "worse",
                "incident.jsonl",
                "queue",
                "conversation 1, message 4 (m4)",
                "answered after 15,011 ms",
                "lost",
                "dropped by a rewrite",
            ),
            Change("better", "storm.jsonl", "queue", "AI calls", "100", "80"),
            Change("changed", "storm.jsonl", "queue", "turns", "100", "101"),
        ],
        effects=[
            effect(),
            effect(
                "better", name="p50", difference=-3000.0, low=-3500.0, high=-2500.0, after=7000.0, delta=-0.45
            ),
            effect("same", name="p99", difference=10.0, low=-90.0, high=110.0, after=10_010.0, delta=0.01),
        ],
        checks=[
            Check("queue", "loses no message", False, "broken 1 time"),
            Check("incident.jsonl: queue", "lost", True, "lost: none, as expected"),
            Check("incident.jsonl: list-v1", "log line 1", None, "not checked"),
        ],
        figures=[
            Figures(
                "queue",
                {"sent": (5, 5), "lost": (0, 1), "wait_p95_ms": (15_047, 19_561), "lag_max_ms": (None, 5)},
            )
        ],
    )


def hostile() -> Comparison:
    """Return a comparison in which every text is one of HOSTILE, or means something in Markdown."""
    evil: Sequence[str] = (
        *HOSTILE,
        "| a | b |\n# heading",
        "[click](https://evil.example) ![x](https://evil.example/x.png)",
        "@everyone #1 www.evil.example http://evil.example <b>bold</b> `code` a@evil.example",
    )
    return Comparison(
        kind="load",
        verdict=Verdict(" ".join(evil)),
        before=Origin(evil[0], 1, [(text, text) for text in evil]),
        after=Origin(evil[1], 2, [(text, text[::-1]) for text in evil]),
        notes=list(evil),
        changes=[Change("worse", text, text, text, text, text, text) for text in evil],
        effects=[effect(group=text, name=text, threshold=text) for text in evil],
        checks=[Check(text, text, ok, text) for text in evil for ok in (True, False, None)],
        figures=[Figures(text, {text: (1, 2), f"{text}_p95_ms": (1, None)}) for text in evil],
    )


def endless(number: int = 4_000) -> Comparison:
    """Return a comparison with more of everything than a page has room for."""
    levels: Sequence[Level] = ("worse", "better", "changed")
    return Comparison(
        kind="replay",
        verdict=Verdict("Worse: " + "x" * 5000),
        before=ORIGIN,
        after=ORIGIN,
        notes=["y" * 5000] * 300,
        changes=[
            Change(
                level, f"recording-{index % 50}", "queue", f"message {index}", "z" * 900, "w" * 900, "v" * 900
            )
            for level in levels
            for index in range(number)
        ],
        effects=[
            effect(level, group=f"{index}" * 80)
            for level in ("worse", "same")
            for index in range(number // 10)
        ],
        checks=[
            Check("u" * 900, f"{index}", ok, "t" * 900)
            for ok in (True, False)
            for index in range(number // 5)
        ],
        figures=[Figures(f"s{index}", {"lost": (0, 1)}) for index in range(40)],
    )


def empty() -> Comparison:
    return Comparison("replay", Verdict("No difference."), ORIGIN, ORIGIN, [], [], [], [])
