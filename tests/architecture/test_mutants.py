"""The list of mutants does not rot: each can be applied, and the tests that are to kill it are there."""

import ast
from collections import Counter

import pytest

from tests.mutants.mutant import ROOT, Mutant, mutants

_ALL = mutants()
_AREAS = ("services/bots", "services/chassis", "services/conversations", "services/identity", "services/inference")
_FURTHER = ("services/operations", "services/tools", "adapters/rest", "adapters/websocket", "deploy/envoy")


def test_there_are_a_hundred_of_them_from_everywhere() -> None:
    assert len(_ALL) >= 100
    for area in (*_AREAS, *_FURTHER):
        assert any(one.file.startswith(f"{area}/") for one in _ALL), area
    assert [name for name, count in Counter(one.name for one in _ALL).items() if count > 1] == []


@pytest.mark.parametrize("mutant", _ALL, ids=[one.name for one in _ALL])
def test_a_mutant_can_be_applied(mutant: Mutant) -> None:
    """Whoever changes the line changes the mutant in tests/mutants too, or takes it out."""
    path = mutant.place(ROOT)
    right = path.read_text()
    wrong = mutant.apply(right)
    assert wrong != right
    if path.suffix == ".py":
        ast.parse(wrong)
    assert bool(mutant.equivalent) is not bool(mutant.tests), "either tests kill it, or it is equivalent and says why"
    for test in mutant.tests:
        where, _, name = test.partition("::")
        assert (ROOT / where).exists(), where
        assert not name or f"def {name}(" in (ROOT / where).read_text(), test
