"""What is removed: the right neurons, each way once, nothing that is empty.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speechbrain_neuronprune.analysis.removals import Removal, make_removals
from speechbrain_neuronprune.analysis.settings import PARTS, AnalysisSettings
from speechbrain_neuronprune.errors import SelectionError

SETS = [("a",), ("b",), ("a", "b")]


def scores(units=50, criteria=("mi", "obs")):
    return {
        criterion: {name: torch.rand(units) for name in ("a", "b")}
        for criterion in criteria
    }


def settings(**changes):
    defaults = {"criteria": ("mi", "obs"), "shares": (0.1, 0.2)}
    return AnalysisSettings(**{**defaults, **changes})


def gone(removal, group="a"):
    return set((~removal.plan.keep[group]).nonzero().flatten().tolist())


def test_nothing_comes_first():
    first = make_removals(scores(), SETS, settings())[0]
    assert (first.part, first.units, first.plan.keep) == ("none", 0, {})


def test_every_way_comes_once():
    removals = make_removals(scores(), SETS, settings(mean_ablation=True))
    facts = [json.dumps(one.facts()) for one in removals]
    assert len(set(facts)) == len(facts)
    per_set = 2 * (2 * (2 * 3 + 1) + 2)  # ablations, criteria, random once
    assert len(removals) == 1 + len(SETS) * per_set


@given(share=st.sampled_from([0.05, 0.1, 0.24]), seed=st.integers(0, 9))
def test_parts_are_those_of_a_sorted_list(share, seed):
    torch.manual_seed(seed)
    given_scores = scores(criteria=("mi",))
    removals = make_removals(
        given_scores, [("a",)], settings(criteria=("mi",), shares=(share,))
    )
    values = given_scores["mi"]["a"].tolist()
    order = sorted(range(50), key=values.__getitem__)
    count = round(share * 50)
    by_part = {one.part: one for one in removals[1:]}
    assert gone(by_part["hypo"]) == set(order[:count])
    assert gone(by_part["hyper"]) == set(order[-count:])
    assert gone(by_part["medium"]) <= set(order[6:44])
    assert len(gone(by_part["medium"])) == count
    assert len(gone(by_part["random"])) == count
    assert gone(by_part["both"]) == set(order[:4] + order[-2:])
    assert by_part["both"].share == 0.12


def test_layers_together_lose_what_each_loses_alone():
    removals = make_removals(scores(), SETS, settings())
    alone, together = (
        {
            (one.criterion, one.part, one.share): one
            for one in removals
            if one.layers == layers
        }
        for layers in SETS[::2]
    )
    assert alone.keys() == together.keys()
    for key, one in alone.items():
        assert gone(one) == gone(together[key])
        assert list(one.plan.keep) == ["a"]
        assert list(together[key].plan.keep) == ["a", "b"]


def test_the_random_control_belongs_to_no_criterion():
    removals = make_removals(scores(), SETS[:1], settings())
    random = [one for one in removals if one.part == "random"]
    assert [one.criterion for one in random] == [None, None]
    again = make_removals(scores(), SETS[:1], settings(seed=1))
    other = [one for one in again if one.part == "random"]
    assert gone(random[1]) != gone(other[1])


def test_only_some_parts():
    removals = make_removals(scores(), SETS, settings(parts=("hyper",)))
    assert {one.part for one in removals} == {"none", "hyper", "both"}
    assert set(PARTS) - {"hyper"} == {"hypo", "medium", "random"}


def test_facts_are_plain():
    facts = Removal("both", 0.12, 0.08, "mi", ("a",), "mean").facts()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["layers"] == ["a"]


# ------------------------------------------------------------------ bad input


def test_a_share_of_less_than_a_neuron():
    with pytest.raises(SelectionError, match="less than one of the 10 neurons"):
        make_removals(scores(10), SETS, settings(shares=(0.02,)))


def test_a_middle_that_is_too_small():
    with pytest.raises(SelectionError, match="middle of group a has"):
        make_removals(scores(), SETS, settings(shares=(0.8,)))


def test_marked_shares_of_less_than_a_neuron():
    with pytest.raises(SelectionError, match="hyper=0.04 is less than one"):
        make_removals(scores(10), SETS, settings(hypo=0.1))
