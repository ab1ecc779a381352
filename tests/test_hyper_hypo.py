"""Hyper and hypo selections: disjoint, exhaustive, of the right sizes.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speechbrain_neuronprune.errors import SelectionError
from speechbrain_neuronprune.hyper_hypo import (
    NeuronSelection,
    medium_like,
    only,
    random_like,
    select_hyper_hypo,
)

PARTS = ("hypo", "hyper", "medium")


def sizes(one):
    return tuple(int(getattr(one, part).sum()) for part in PARTS)


def units(mask):
    return mask.nonzero().flatten().tolist()


@pytest.mark.parametrize(
    "hypo, hyper, wanted",
    [
        (0.02, 0.0, (41, 0, 2007)),
        (0.08, 0.04, (164, 82, 1802)),
        (0.0, 0.02, (0, 41, 2007)),
    ],
)
def test_the_papers_shares_of_2048(hypo, hyper, wanted):
    """Mitra and Franco, sec. 5: 2 % of 2048 neurons are 41."""
    scores = {"fc": torch.rand(2048)}
    assert sizes(select_hyper_hypo(scores, hypo, hyper)["fc"]) == wanted


def test_the_defaults_are_the_papers_recommendation():
    chosen = select_hyper_hypo({"fc": torch.rand(2048)})["fc"]
    assert sizes(chosen) == (164, 82, 1802)


# Few different values, so that many are equal.
SCORES = st.lists(
    st.one_of(st.integers(-3, 3).map(float), st.floats(-1e6, 1e6)),
    min_size=1,
    max_size=60,
)


@given(scores=SCORES, data=st.data())
def test_a_selection_is_the_two_ends_of_the_ranking(scores, data):
    count = len(scores)
    lowest = data.draw(st.integers(0, count))
    highest = data.draw(st.integers(0 if lowest else 1, count - lowest))
    hypo = lowest / count
    hyper = min(highest / count, 1 - hypo)  # their rounded sum may exceed 1
    values = torch.tensor(scores, dtype=torch.float64)
    one = select_hyper_hypo({"fc": values}, hypo, hyper)["fc"]

    together = torch.stack([one.hypo, one.hyper, one.medium]).sum(0)
    assert (together == 1).all()  # disjoint and exhaustive
    assert sizes(one) == (lowest, highest, count - lowest - highest)
    assert torch.equal(one.chosen, ~one.medium)
    # Python's sort is stable: equal scores count by position.
    ranking = sorted(range(count), key=lambda unit: scores[unit])
    assert units(one.hypo) == sorted(ranking[:lowest])
    assert units(one.hyper) == sorted(ranking[count - highest :])


def test_groups_are_ranked_one_by_one():
    scores = {"0": torch.arange(25.0), "2": 100.0 - torch.arange(25.0)}
    chosen = select_hyper_hypo(scores)
    assert list(chosen) == ["0", "2"]
    assert units(chosen["0"].hypo) == [0, 1]
    assert units(chosen["0"].hyper) == [24]
    assert units(chosen["2"].hypo) == [23, 24]
    assert units(chosen["2"].hyper) == [0]


def test_halves_of_an_odd_number_do_not_overlap():
    one = select_hyper_hypo({"fc": torch.arange(3.0)}, 0.5, 0.5)["fc"]
    assert sizes(one) == (2, 1, 0)


@pytest.mark.parametrize(
    "hypo, hyper",
    [
        (-0.1, 0.2),
        (0.2, -0.1),
        (0.7, 0.4),
        (0.0, 0.0),
        (math.nan, 0.1),
        (1.5, 0.0),
    ],
)
def test_shares_that_cannot_be_are_refused(hypo, hyper):
    with pytest.raises(SelectionError) as error:
        select_hyper_hypo({"fc": torch.arange(30.0)}, hypo, hyper)
    message = str(error.value)
    assert f"hypo={hypo} and hyper={hyper} cannot be selected" in message
    assert "do not overlap" in message


def test_a_share_of_no_neuron_is_refused_by_group():
    scores = {"0": torch.arange(100.0), "dnn.2": torch.arange(12.0)}
    with pytest.raises(SelectionError) as error:
        select_hyper_hypo(scores)
    message = str(error.value)
    assert "hyper=0.04 is less than one of the 12 neurons" in message
    assert "group dnn.2" in message
    with pytest.raises(SelectionError, match="hypo=0.04 is less than one"):
        select_hyper_hypo(scores, 0.04, 0.0)
    assert sizes(select_hyper_hypo(scores, 0.08, 0.0)["dnn.2"]) == (1, 0, 11)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_numbers_are_refused(bad):
    scores = {"0": torch.arange(30.0), "2": torch.tensor([1.0, bad, 2.0])}
    with pytest.raises(SelectionError, match="group 2 contain NaN or inf"):
        select_hyper_hypo(scores, 0.4, 0.4)


def test_no_scores_are_refused():
    with pytest.raises(SelectionError, match="There are no scores to select"):
        select_hyper_hypo({})


def test_every_unit_is_in_one_part():
    yes, no = torch.ones(3, dtype=torch.bool), torch.zeros(3, dtype=torch.bool)
    assert sizes(NeuronSelection(yes, no, no)) == (3, 0, 0)
    with pytest.raises(SelectionError, match="none or several of hypo"):
        NeuronSelection(yes, yes, no)
    with pytest.raises(SelectionError, match="none or several of hypo"):
        NeuronSelection(no, no, no)
    with pytest.raises(SelectionError, match=r"shapes \[\(3,\), \(3,\), \(2,"):
        NeuronSelection(yes, no, no[:2])
    with pytest.raises(SelectionError, match="three bool tensors"):
        NeuronSelection(yes.float(), no.float(), no.float())


# ---------------------------------------------------------------- controls


@given(count=st.integers(30, 200), seed=st.integers(0, 1000))
def test_random_controls_have_the_same_sizes(count, seed):
    chosen = select_hyper_hypo({"fc": torch.rand(count)})
    control = random_like(chosen, seed)
    assert sizes(control["fc"]) == sizes(chosen["fc"])
    again = random_like(chosen, seed)["fc"]
    assert torch.equal(control["fc"].hypo, again.hypo)


def test_random_controls_differ_by_seed_and_group():
    scores = {"0": torch.rand(500), "2": torch.rand(500)}
    chosen = select_hyper_hypo(scores)
    one, two = random_like(chosen, seed=1), random_like(chosen, seed=2)
    assert not torch.equal(one["0"].hypo, two["0"].hypo)
    assert not torch.equal(one["0"].hypo, one["2"].hypo)
    alone = random_like({"2": chosen["2"]}, seed=1)
    assert torch.equal(alone["2"].hypo, one["2"].hypo)


def test_random_controls_draw_from_all_neurons():
    """Over many seeds every neuron is chosen about equally often."""
    chosen = select_hyper_hypo({"fc": torch.arange(25.0)})
    draws = torch.stack(
        [random_like(chosen, seed)["fc"].chosen for seed in range(600)]
    )
    rate = draws.float().mean(0)
    assert (rate - 3 / 25).abs().max() < 0.06  # 4.5 standard errors


@given(scores=st.lists(st.floats(-1e3, 1e3), min_size=30, max_size=120))
def test_medium_controls_are_the_middle_of_the_ranking(scores):
    values = {"fc": torch.tensor(scores, dtype=torch.float64)}
    chosen = select_hyper_hypo(values)
    control = medium_like(chosen, values)["fc"]
    assert sizes(control) == sizes(chosen["fc"])
    assert not (control.chosen & chosen["fc"].chosen).any()

    ranking = sorted(range(len(scores)), key=lambda unit: scores[unit])
    ranks = [ranking.index(unit) for unit in units(control.chosen)]
    assert max(ranks) - min(ranks) == len(ranks) - 1  # neighbours
    middle = (max(ranks) + min(ranks)) / 2
    assert abs(middle - (len(scores) - 1) / 2) <= 0.5
    low = max(ranking.index(unit) for unit in units(control.hypo))
    high = min(ranking.index(unit) for unit in units(control.hyper))
    assert low < high


def test_medium_controls_leave_the_ends_out():
    values = {"fc": torch.arange(100.0)}
    chosen = select_hyper_hypo(values, 0.5, 0.04)
    with pytest.raises(SelectionError) as error:
        medium_like(chosen, values)
    # ranks 50 to 87: what is left between the hypo half and the top 12 %
    assert "The middle of group fc has 38 neurons" in str(error.value)
    assert "fewer than the 54 selected ones" in str(error.value)
    part = medium_like(select_hyper_hypo(values, 0.3, 0.04), values)["fc"]
    assert units(part.chosen) == list(range(42, 76))


@pytest.mark.parametrize("margin", [-0.1, 0.6, math.nan])
def test_margins_that_cannot_be_are_refused(margin):
    values = {"fc": torch.arange(100.0)}
    with pytest.raises(SelectionError, match=f"A margin of {margin} at both"):
        medium_like(select_hyper_hypo(values), values, margin)


def test_medium_controls_need_the_scores():
    values = {"fc": torch.arange(100.0)}
    chosen = select_hyper_hypo(values)
    for scores in ({}, {"fc": torch.arange(99.0)}):
        with pytest.raises(SelectionError, match="100 neurons of group fc"):
            medium_like(chosen, scores)


@pytest.mark.parametrize("part", ["hypo", "hyper"])
def test_a_part_alone(part):
    chosen = select_hyper_hypo({"0": torch.rand(50), "2": torch.rand(30)})
    parts = only(chosen, part)
    for name in chosen:
        wanted = getattr(chosen[name], part)
        assert torch.equal(parts[name].chosen, wanted)
        assert torch.equal(getattr(parts[name], part), wanted)


def test_a_part_that_is_not_there_is_refused():
    chosen = select_hyper_hypo({"fc": torch.rand(50)}, 0.1, 0.0)
    with pytest.raises(SelectionError, match="no hyper neurons in group fc"):
        only(chosen, "hyper")
    with pytest.raises(SelectionError, match="no part 'medium'; use 'hypo' or"):
        only(chosen, "medium")
