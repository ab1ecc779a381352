"""Plans from parts of a ranking: hypo, hyper, medium."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from speechbrain_neuronprune import PruningPlan
from speechbrain_neuronprune.errors import PlanError


@pytest.fixture
def selection():
    """Two layers of five neurons."""
    units = torch.arange(5)
    one = SimpleNamespace(
        hypo=units < 1, hyper=units > 3, medium=(units > 0) & (units < 4)
    )
    two = SimpleNamespace(hypo=units < 0, hyper=units < 2, medium=units > 1)
    return {"fc.linear1": one, "fc.linear2": two}


@pytest.mark.parametrize(
    "remove, first, second",
    [
        (("hypo", "hyper"), [1, 2, 3], [2, 3, 4]),
        ("hypo", [1, 2, 3, 4], [0, 1, 2, 3, 4]),
        (["hyper"], [0, 1, 2, 3], [2, 3, 4]),
        (("medium",), [0, 4], [0, 1]),
        ((), [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]),
        (("hypo", "hyper", "medium"), [], []),
    ],
)
def test_units_outside_the_removed_parts_stay(selection, remove, first, second):
    plan = PruningPlan.from_selection(selection, remove)
    kept = [keep.nonzero().flatten().tolist() for keep in plan.keep.values()]
    assert list(plan.keep) == list(selection)
    assert kept == [first, second]


def test_hypo_and_hyper_go_by_default(selection):
    plan = PruningPlan.from_selection(selection)
    same = PruningPlan.from_selection(selection, ("hypo", "hyper"))
    for name, keep in plan.keep.items():
        assert torch.equal(keep, same.keep[name])


def test_an_unknown_part_is_refused(selection):
    with pytest.raises(PlanError, match="no part 'hyperactive'; remove any"):
        PruningPlan.from_selection(selection, ["hyperactive"])


@pytest.mark.parametrize(
    "rule, message",
    [
        ({"threshold": 1.0, "round_to": 2.5}, "round_to=2.5"),
        ({"threshold": 1.0, "balance_heads": True}, "needs the model"),
        ({"threshold": "a"}, "threshold of 'a'"),
    ],
)
def test_rules_of_the_wrong_kind_are_named(rule, message):
    with pytest.raises(PlanError, match=message):
        PruningPlan.from_scores({"a": torch.arange(8.0)}, **rule)


def test_a_target_that_is_text_is_named():
    chain = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    with pytest.raises(PlanError, match="target of '0.45' is no size"):
        PruningPlan.from_scores(
            {"0": torch.arange(6.0)}, chain, target_parameters="0.45"
        )
