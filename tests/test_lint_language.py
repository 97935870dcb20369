"""The check of the language: it finds faults, and lets all other text pass."""

from __future__ import annotations

import pytest

from tests.lint_language import check, faults


@pytest.mark.parametrize(
    "source",
    [
        '"""What a module holds."""',
        'def f():\n    """Whether it is so."""',
        'class A:\n    """It does things."""',
        'X = 1\n"""The same for the others."""',
        'class A:\n    x = 1\n    """How many there are."""',
        'def f():\n    """Returns a number."""',
        'raise ValueError("this is no duration")',
        'print(f"{value!r} is no number")',
    ],
)
def test_a_fault_is_found(source: str) -> None:
    (fault,) = faults(source, "file.py")
    assert fault.startswith("file.py:")


@pytest.mark.parametrize(
    "source",
    [
        '"""Itself, Whatever, Whenever: words of their own."""',
        'def f():\n    """Return the number of messages when there are some; None where there is no queue."""',
        'print("what it is", "there is no worker 3", "this is not a duration")',
        "x = 1  # What is no docstring is not looked at.",
    ],
)
def test_anything_else_passes(source: str) -> None:
    assert list(faults(source, "file.py")) == []


def test_every_module_of_the_project_passes() -> None:
    assert check() == []
