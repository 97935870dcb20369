"""Edits and deletions in whole deployments: whatever fails, the AI reads edits, and no old text after a change."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.queue_core.searches.deployment.plan import Message, Plan, plans, times
from tests.queue_core.searches.deployment.promises import PromiseBrokenError, Promises
from tests.queue_core.searches.deployment.run import Result, run
from tests.queue_core.searches.planting import plant

EXAMPLES = 60
"""Number of plans in the fixed set. Three times as many find each planted bug."""

messages = st.builds(Message, at_ms=times, web=st.sampled_from([0, 0, 1]))
changes = st.builds(
    Message,
    at_ms=times,
    web=st.sampled_from([0, 0, 1]),
    again_ms=st.sampled_from([0, 500]),
    change=st.sampled_from(["edit", "deletion"]),
    target=st.integers(1, 3),
)
changed_messages = st.tuples(
    st.lists(messages, min_size=1, max_size=3), st.lists(changes, min_size=1, max_size=3)
).map(lambda lists: (*lists[0], *lists[1]))


class ChangePromises:
    """Checks of promises about changed messages, and of the general ones that hold for them too."""

    def __init__(self, result: Result) -> None:
        self._result = result
        self._trace = result.trace
        self._general = Promises(result)
        self._plan = {f"m{number}": it for number, it in enumerate(result.plan.messages, 1)}
        self._executed = [
            it for it in self._trace.executed if it.script == "change" and it.answer != "duplicate"
        ]

    def broken(self) -> Iterator[str]:
        """Yield every breach."""
        yield from self._trace.errors
        yield from self._general._confirmed_before_the_send()
        yield from self._general._one_at_a_time()
        if not self._result.is_at_rest:
            yield f"not at rest; in Redis: {self._result.left}"
        yield from self._old_texts_are_not_read()
        yield from self._deleted_texts_are_nowhere()
        yield from self._edits_are_read()
        yield from self._others_are_answered()

    def _old_texts_are_not_read(self) -> Iterator[str]:
        """Claims after a change do not return the old text."""
        claimed_ms: dict[int, float] = {}
        for step in self._trace.executed:
            if step.script == "claim":
                claimed_ms.setdefault(step.token, step.at_ms)
        for change in self._executed:
            target = self._target(change.ids[0])
            for ask in self._trace.asks:
                is_later = claimed_ms.get(ask.token, 0.0) > change.at_ms
                if is_later and f"text {target}" in ask.text.split("\n"):
                    yield f"{target} was read as it was, after {change.ids[0]} had changed it"

    def _deleted_texts_are_nowhere(self) -> Iterator[str]:
        """Neither a deleted message nor one of its edits leaves a text among the finished messages."""
        deletions = [it.ids[0] for it in self._executed if self._plan[it.ids[0]].change == "deletion"]
        plain = {message_id for message_id, message in self._plan.items() if not message.change}
        deleted = plain & {self._target(it) for it in deletions}
        for message_id, message in self._plan.items():
            target = self._target(message_id) if message.change == "edit" else message_id
            if target in deleted and f"text {message_id}" in self._result.archive:
                yield f"{target} was deleted, and the text of {message_id} is kept"

    def _edits_are_read(self) -> Iterator[str]:
        """An edit that was acknowledged is in a turn that was answered, unless another change came for its message."""
        for message_id in self._trace.acknowledged:
            if self._plan[message_id].change != "edit":
                continue
            target = self._target(message_id)
            others = [it for it in self._executed if it.ids[0] != message_id]
            is_changed_again = any(self._target(it.ids[0]) in (target, message_id) for it in others)
            is_dead = {target, message_id} & set(self._result.dead)
            if not is_changed_again and not is_dead and not self._is_read(message_id):
                yield f"{message_id} was acknowledged, and its text was not read"

    def _is_read(self, message_id: str) -> bool:
        answered = [it.ids for it in self._trace.asks if f"text {message_id}" in it.text.split("\n")]
        return any(sending.ids in answered for sending in self._trace.taken())

    def _others_are_answered(self) -> Iterator[str]:
        targets = {self._target(it.ids[0]) for it in self._executed}
        sent = {message_id for sending in self._trace.taken() for message_id in sending.ids}
        for message_id in self._trace.acknowledged:
            is_plain = not self._plan[message_id].change and message_id not in targets
            if is_plain and message_id not in sent | set(self._result.dead):
                yield f"{message_id} was acknowledged, and is neither sent nor a dead letter"

    def _target(self, change_id: str) -> str:
        return f"m{self._plan[change_id].target}"


def check(result: Result) -> None:
    """Raise PromiseBrokenError, with the trace of the run, if a promise was broken."""
    if broken := [*ChangePromises(result).broken()]:
        raise PromiseBrokenError("\n".join((*broken, "", result.trace.as_text())))


@pytest.mark.timeout(900)
def test_no_fault_breaks_a_promise_about_changes() -> None:
    answers: set[str] = set()

    @hypothesis_settings(
        max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow], deadline=None, derandomize=True
    )
    @given(plans(messages=changed_messages))
    def search(plan: Plan) -> None:
        result = run(plan)
        answers.update(it.answer for it in result.trace.executed if it.script == "change")
        check(result)

    search()
    assert answers >= {"queued", "changed", "duplicate"}


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@hypothesis_settings(max_examples=5_000, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(plans(messages=changed_messages))
def test_a_long_search_finds_no_fault_that_breaks_one(plan: Plan) -> None:
    check(run(plan))


@pytest.mark.parametrize(
    ("script", "sound", "broken", "complaint"),
    [
        (
            "claim",
            "if has_more and has_changes(place) then",
            "if false then",
            "was read as it was|was not read|not at rest",
        ),
        ("change", "letter .. (what == 'edit' and element or '')", "letter", "was not read"),
        ("changes", "elseif change or note then", "elseif change then", "was read as it was"),
        ("change", "  erase_finished()\n  if is_read", "  if is_read", "was deleted, and the text"),
    ],
)
def test_a_planted_bug_is_found(
    script: str, sound: str, broken: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, script, sound, broken)

    @hypothesis_settings(
        max_examples=EXAMPLES * 3,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(plans(messages=changed_messages))
    def search(plan: Plan) -> None:
        check(run(plan))

    with pytest.raises(PromiseBrokenError, match=complaint):
        search()
