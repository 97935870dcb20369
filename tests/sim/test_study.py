"""Studies: which settings win, and several queues with different rules side by side."""

from __future__ import annotations

import pickle
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from queue_core.recording.format import Recording
from queue_core.recording.reader import load
from queue_core.settings import QueueSettings
from reports.analysis.figures import system_figures
from reports.analysis.recording import recordings_of
from reports.results.files import read_result
from reports.results.replay import ReplayResult
from reports.results.writing import json_text, write_whole
from sim.console import show
from sim.engine.settings import SettingsError, SimSettings
from sim.folding import Fold
from sim.replay import replay
from sim.study import Contender, Study, carry_out, is_clean
from sim.systems import all_systems

INCIDENT = Path(__file__).parents[2] / "logs" / "incident.jsonl"


def incident(**settings: str) -> Recording:
    (recording,) = load([INCIDENT])
    return replace(recording, settings={**recording.settings, **settings})


def study(*profiles: str, recording: Recording | None = None, **options: str) -> Study:
    return Study(
        recordings=[recording or incident()],
        systems=["buffer-v1", "queue"],
        settings=SimSettings(),
        options=options,
        profiles=profiles,
    )


def rules_of(planned: Study) -> dict[str, int]:
    return planned.settings_for(planned.recordings[0], planned.contenders[-1]).rules()


def result_of(*profiles: str) -> ReplayResult:
    return carry_out(study(*profiles))


class TestWhoseSettingsHold:
    def test_a_recording_may_set_every_rule(self) -> None:
        recorded = incident(**{"supersede": "45s", "max-messages": "0", "idle": "3s", "cap": "40s"})
        assert rules_of(study(recording=recorded)) == {
            "window_ms": 8000,
            "max_messages": 0,
            "idle_ms": 3000,
            "cap_ms": 40_000,
            "supersede_ms": 45_000,
        }

    def test_a_profile_replaces_all_rules_of_a_recording(self) -> None:
        recorded = incident(idle="3s", window="4s", supersede="9s")
        rules = rules_of(study("plan", recording=recorded))
        assert rules == {rule: getattr(QueueSettings(), rule) for rule in rules}

    def test_a_profile_leaves_the_other_settings_of_a_recording(self) -> None:
        planned = study("patient")
        assert planned.settings_for(planned.recordings[0], planned.contenders[-1]).ai == "constant:7s"

    def test_an_option_overrides_the_profile(self) -> None:
        rules = rules_of(study("patient", idle="5s"))
        assert (rules["idle_ms"], rules["cap_ms"], rules["supersede_ms"]) == (5000, 45_000, 45_000)

    def test_a_supersede_beyond_its_limit_names_the_option(self) -> None:
        with pytest.raises(SettingsError, match=r"^--supersede: must be from 0 to 1h, not 2h"):
            rules_of(study(supersede="2h"))


class TestSeveralProfiles:
    def test_each_further_profile_is_a_queue_of_its_own(self) -> None:
        assert study("plan", "patient").contenders == [
            Contender("buffer-v1", "buffer-v1"),
            Contender("queue", "queue", "plan"),
            Contender("queue (patient)", "queue", "patient"),
        ]

    def test_a_further_profile_does_what_it_does_alone(self) -> None:
        beside, alone = result_of("plan", "patient"), result_of("patient")
        assert beside["systems"] == ["buffer-v1", "queue", "queue (patient)"]
        assert beside["runs"][-1] == {**alone["runs"][-1], "system": "queue (patient)"}
        assert beside["runs"][:-1] == result_of()["runs"]

    def test_the_incident_gets_two_answers_by_default_and_one_with_patient_rules(self) -> None:
        runs = {run["system"]: run for run in result_of("plan", "patient")["runs"]}
        replies = {
            name: [batch["ids"] for batch in run["batches"] if batch["replied_at_ms"] is not None]
            for name, run in runs.items()
        }
        assert replies["queue"] == [["m1", "m2", "m3"], ["m4", "m5"]]
        assert replies["queue (patient)"] == [["m1", "m2", "m3", "m4", "m5"]]

    def test_the_result_has_the_rules_of_each_queue_and_is_read_again(self, tmp_path: Path) -> None:
        result = result_of("plan", "patient")
        assert result["settings"]["idle_ms"] == 0
        assert result["settings"]["queue (patient)"]["idle_ms"] == 7500
        assert not [name for name in result_of()["settings"] if "(" in name]
        write_whole(json_text(result), tmp_path / "result.json")
        assert read_result(tmp_path / "result.json")["kind"] == "replay"

    def test_expected_outcomes_are_checked_for_the_first_profile(self) -> None:
        checked = result_of("plan", "patient")["expectations"]
        assert {each["held"] for each in checked if each["system"] == "queue"} == {True}
        swapped = result_of("patient", "plan")["expectations"]
        assert {each["held"] for each in swapped if each["system"] == "queue"} == {None}

    def test_no_queue_may_harm_a_message(self) -> None:
        runs = result_of("plan", "patient")["runs"]
        assert is_clean(runs, [])
        runs[-1]["lost"] = ["m1"]
        assert not is_clean(runs, [])


class TestManyRuns:
    """Of many runs, only one is kept whole; nothing that is shown of them changes."""

    RUNS = 6

    def results(self) -> tuple[ReplayResult, ReplayResult]:
        planned = replace(study(ai="lognormal:4s:9s"), runs=self.RUNS)
        return carry_out(planned), carry_out(replace(planned, keeps_all=True))

    def test_figures_losses_and_checks_are_those_of_whole_runs(self, tmp_path: Path) -> None:
        folded, whole = self.results()
        assert system_figures(folded) == system_figures(whole)
        assert folded["loss"] == whole["loss"]
        assert folded["expectations"] == whole["expectations"]
        losses = [
            [
                recording.losses_of(system)
                for recording in recordings_of(result)
                for system in result["systems"]
            ]
            for result in (folded, whole)
        ]
        assert losses[0] == losses[1] != [[], []]
        tables = [Console(width=200, file=StringIO()) for _ in range(2)]
        for result, console in zip((folded, whole), tables, strict=True):
            show(result, console)
            write_whole(json_text(result), tmp_path / "result.json")
            assert read_result(tmp_path / "result.json")["kind"] == "replay"
        printed = [console.file.getvalue() for console in tables]  # type: ignore[attr-defined]  # of StringIO
        assert printed[0] == printed[1]

    def test_a_run_takes_memory_for_its_losses_only(self) -> None:
        folded, whole = self.results()
        kept = [run for run in folded["runs"] if run["system"] == "queue"]
        (number,) = [run["run"] for run in kept if "folded" not in run]
        assert [len(run["ledger"]) for run in kept] == [5 * (run["run"] == number) for run in kept]
        assert not any(run["batches"] or run["log"] for run in kept if run["run"] != number)
        assert kept[number] == whole["runs"][self.RUNS + number]
        (times,) = [times for times in folded["times"] if times["system"] == "queue"]
        assert sum(count for _, count in times["first_ms"]) == 2 * self.RUNS

    def test_the_run_that_is_kept_whole_is_the_first_with_a_loss(self) -> None:
        planned = replace(study(ai="lognormal:4.5s:9s"), runs=4)
        folded, whole = carry_out(planned), carry_out(replace(planned, keeps_all=True))
        lost = [bool(run["lost"]) for run in whole["runs"] if run["system"] == "buffer-v1"]
        assert lost[:2] == [False, True]
        kept = [run for run in folded["runs"] if "folded" not in run]
        assert [(run["system"], run["run"]) for run in kept] == [("buffer-v1", 1), ("queue", 1)]
        assert kept == [run for run in whole["runs"] if run["run"] == 1]
        assert [recording.drawn for recording in recordings_of(folded)] == [kept]
        assert [recording.drawn for recording in recordings_of(whole)] == [kept]


def test_folded_runs_from_other_processes_share_their_texts() -> None:
    recording = incident()
    (info,) = carry_out(study())["recordings"]
    runs = [
        pickle.loads(pickle.dumps(replay(recording, all_systems()["buffer-v1"], SimSettings(), number)))
        for number in (1, 2)
    ]
    first, second = (Fold(info, "buffer-v1", keeps_log=False).keep(run) for run in runs)
    assert all(left is right for left, right in zip(first, second, strict=True))
    assert first["recording"] is second["recording"]
    assert runs[0]["recording"] is not runs[1]["recording"]


def test_an_unknown_engine_is_named_as_the_option_is_typed() -> None:
    study = Study(load([INCIDENT]), ["queue"], SimSettings(), {"engine": "rapid"})
    with pytest.raises(SettingsError, match=r"^--engine: there is no engine 'rapid'"):
        carry_out(study)
