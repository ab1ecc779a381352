"""Plans: thresholds, sizes, files, and refusals."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from speechbrain_neuronprune import (
    PruningPlan,
    RetentionSchedule,
    adaptive_dropouts,
    attach_adaptive_dropout,
    compact,
    find_units,
)
from speechbrain_neuronprune.errors import PlanError
from speechbrain_neuronprune.units import count_parameters


@pytest.fixture
def gated(make_encoder):
    """An encoder whose logits have been spread at random."""
    schedule = RetentionSchedule(steps=1)
    encoder = attach_adaptive_dropout(
        make_encoder(d_model=32, d_ffn=64, nhead=4), schedule
    )
    schedule.advance(1)
    with torch.no_grad():
        for gate in adaptive_dropouts(encoder).values():
            gate.logits.normal_(0.1, 0.3)
    return encoder


def test_the_default_threshold_is_c_end(gated):
    plan = PruningPlan.from_retention(gated)
    for name, gate in adaptive_dropouts(gated).items():
        assert torch.equal(plan.keep[name], gate.beta() >= -2.0)


def test_gates_with_schedules_of_their_own_have_thresholds_of_their_own():
    model = nn.Sequential(*(nn.Linear(40, 40) for _ in range(3)))
    for name, c_end in (("0", -2.0), ("1", 1.3)):
        schedule = RetentionSchedule(10.0, c_end, steps=1)
        attach_adaptive_dropout(model, schedule, targets=name)
        schedule.advance(1)
    gates = adaptive_dropouts(model)
    for gate in gates.values():
        nn.init.normal_(gate.logits)
    plan = PruningPlan.from_retention(model)
    for name, gate in gates.items():
        assert torch.equal(plan.keep[name], gate.keep())
        assert 0 < plan.keep[name].sum() < 40


def test_a_threshold_of_ones_own(gated):
    plan = PruningPlan.from_retention(gated, threshold=1.5)
    for name, gate in adaptive_dropouts(gated).items():
        assert torch.equal(plan.keep[name], gate.beta() >= 1.5)


@pytest.mark.parametrize("fraction", [0.9, 0.46, 0.3, 0.15])
def test_target_as_a_fraction_is_met_within_one_per_cent(gated, fraction):
    plan = PruningPlan.from_retention(gated, target_parameters=fraction)
    wanted = fraction * count_parameters(gated)
    got = count_parameters(compact(gated, plan))
    assert got == pytest.approx(wanted, rel=0.01)


def test_target_as_a_count(gated):
    wanted = count_parameters(gated) // 2
    plan = PruningPlan.from_retention(gated, target_parameters=wanted)
    got = count_parameters(compact(gated, plan))
    assert got == pytest.approx(wanted, rel=0.01)


def test_the_target_keeps_the_highest_logits(gated):
    plan = PruningPlan.from_retention(gated, target_parameters=0.5)
    betas = {n: g.beta() for n, g in adaptive_dropouts(gated).items()}
    kept = torch.cat([betas[n][plan.keep[n]] for n in betas])
    gone = torch.cat([betas[n][~plan.keep[n]] for n in betas])
    assert kept.min() >= gone.max()


@pytest.mark.parametrize("target", [0.0001, 10, 10**9])
def test_a_target_out_of_reach_says_what_is_in_reach(gated, target):
    with pytest.raises(PlanError, match="out of reach.* to "):
        PruningPlan.from_retention(gated, target_parameters=target)


def test_a_target_counts_what_is_outside_of_the_model(gated):
    others = 1000
    total = others + count_parameters(gated)
    plan = PruningPlan.from_retention(
        gated, target_parameters=0.6, others=others
    )
    size = others + count_parameters(compact(gated, plan))
    assert size == pytest.approx(0.6 * total, rel=0.01)
    with pytest.raises(PlanError, match=f"of the model's {total:,} parameters"):
        PruningPlan.from_retention(gated, target_parameters=10, others=others)


def test_round_to_makes_multiples(gated):
    plan = PruningPlan.from_retention(gated, threshold=0.0, round_to=4)
    plain = PruningPlan.from_retention(gated, threshold=0.0)
    for name, widths in plan.widths(gated).items():
        counts = widths if isinstance(widths, list) else [widths]
        assert all(count % 4 == 0 for count in counts)
        assert plan.keep[name].sum() >= plain.keep[name].sum()


def test_balanced_heads_are_equally_wide(gated):
    plan = PruningPlan.from_retention(
        gated, target_parameters=0.5, balance_heads=True
    )
    for name, widths in plan.widths(gated).items():
        if isinstance(widths, list):
            assert len(set(widths)) == 1, name
    wanted = 0.5 * count_parameters(gated)
    got = count_parameters(compact(gated, plan))
    assert got == pytest.approx(wanted, rel=0.05)


def test_gates_that_no_schedule_has_moved_are_told(make_encoder, caplog):
    schedule = RetentionSchedule(steps=5)
    encoder = attach_adaptive_dropout(make_encoder(num_layers=1), schedule)
    with caplog.at_level("WARNING"):
        PruningPlan.from_retention(encoder)
        assert "the retention logits is at step 0" in caplog.text
        caplog.clear()
        schedule.advance()
        PruningPlan.from_retention(encoder)
    assert caplog.text == ""


def test_an_average_of_models_has_the_steps_of_the_model(make_encoder, caplog):
    schedule = RetentionSchedule(steps=5)
    encoder = attach_adaptive_dropout(make_encoder(num_layers=1), schedule)
    average = AveragedModel(encoder)
    schedule.advance(5)
    average.update_parameters(encoder)
    with caplog.at_level("WARNING"):
        plan = PruningPlan.from_retention(average.module)
    assert not caplog.records
    own = PruningPlan.from_retention(encoder)
    assert all(map(torch.equal, plan.keep.values(), own.keep.values()))


def test_a_model_without_gates_has_no_retention(make_encoder):
    with pytest.raises(PlanError, match="no adaptive dropout"):
        PruningPlan.from_retention(make_encoder())


def test_logits_that_are_not_numbers_are_refused(gated):
    gate = next(iter(adaptive_dropouts(gated).values()))
    with torch.no_grad():
        gate.logits[3] = float("nan")
    with pytest.raises(PlanError, match="layers.0.ffn_module1 contain NaN"):
        PruningPlan.from_retention(gated)


def test_scores_by_fraction(make_encoder):
    encoder = make_encoder()
    scores = {n: torch.rand(g.size) for n, g in find_units(encoder).items()}
    plan = PruningPlan.from_scores(scores, fraction=0.25)
    for name, values in scores.items():
        kept = values[plan.keep[name]]
        assert len(kept) == round(0.25 * len(values))
        assert kept.min() >= values[~plan.keep[name]].max()


@pytest.mark.parametrize(
    "rules", [{}, {"threshold": 0.0, "fraction": 0.5}, {"fraction": 1.5}]
)
def test_scores_need_one_sensible_rule(rules):
    with pytest.raises(PlanError):
        PruningPlan.from_scores({"layer": torch.rand(4)}, **rules)


def test_scores_of_another_model_are_refused(make_encoder):
    with pytest.raises(PlanError, match="5 scores for group nowhere"):
        PruningPlan.from_scores(
            {"nowhere": torch.rand(5)}, model=make_encoder(), threshold=0.0
        )


def test_a_threshold_that_is_no_number_is_refused(gated):
    with pytest.raises(PlanError, match="threshold of nan lets no unit stay"):
        PruningPlan.from_retention(gated, threshold=math.nan)
    plan = PruningPlan.from_retention(gated, threshold=-math.inf)
    assert all(keep.all() for keep in plan.keep.values())


@pytest.mark.parametrize("target", [math.nan, math.inf, -math.inf])
def test_a_target_that_is_no_number_is_refused(gated, target):
    with pytest.raises(PlanError, match="is no size"):
        PruningPlan.from_retention(gated, target_parameters=target)


def test_targets_of_numpy_are_shares_and_counts(gated):
    def kept(target):
        plan = PruningPlan.from_retention(gated, target_parameters=target)
        return {name: keep.tolist() for name, keep in plan.keep.items()}

    expected = kept(0.75)
    count = np.int64(0.75 * count_parameters(gated))
    for target in (np.float32(0.75), np.float64(0.75), count):
        assert kept(target) == expected


def test_scores_may_be_any_numbers():
    """Of which single precision would take two for one."""
    scores = [2**24, 2**24 + 1, 2**24 - 1]
    for values in (scores, np.array(scores), torch.tensor(scores)):
        plan = PruningPlan.from_scores({"a": values}, fraction=1 / 3)
        assert plan.keep["a"].tolist() == [False, True, False]
    large = torch.tensor([1e300, 2e300, 0.0], dtype=torch.float64)
    plan = PruningPlan.from_scores({"a": large}, fraction=1 / 3)
    assert plan.keep["a"].tolist() == [False, True, False]
    low = torch.tensor([0.7, 0.6])  # 0.7 is less in single precision
    plan = PruningPlan.from_scores({"a": low}, threshold=0.7)
    assert plan.keep["a"].tolist() == [True, False]


def test_no_scores_are_refused(gated):
    with pytest.raises(PlanError, match="There are no scores"):
        PruningPlan.from_scores({}, gated, target_parameters=0.5)


def test_balanced_heads_do_not_lose_the_last_unit(make_encoder):
    encoder = make_encoder(num_layers=1)
    name = "layers.0.mha_layer.value"
    scores = {name: torch.zeros(find_units(encoder)[name].size)}
    scores[name][3] = 1.0
    plan = PruningPlan.from_scores(
        scores, encoder, threshold=0.5, balance_heads=True
    )
    heads = plan.widths(encoder)[name]
    assert heads == [1] * len(heads)
    nothing = PruningPlan.from_scores(
        scores, encoder, threshold=2.0, balance_heads=True
    )
    assert not nothing.keep[name].any()


def test_widths_of_numpy(make_encoder):
    encoder = make_encoder(num_layers=1)
    plan = PruningPlan.from_widths(
        encoder, {"layers.0.ffn_module1": np.int64(3)}
    )
    assert int(plan.keep["layers.0.ffn_module1"].sum()) == 3


def test_a_plan_is_made_of_bools():
    with pytest.raises(PlanError, match="layer is not a bool tensor"):
        PruningPlan({"layer": torch.ones(3)})


@pytest.mark.parametrize("widths", [25, [3, 3], -1])
def test_widths_that_do_not_fit_are_refused(make_encoder, widths):
    with pytest.raises(PlanError, match="layers.0.ffn_module1"):
        PruningPlan.from_widths(
            make_encoder(), {"layers.0.ffn_module1": widths}
        )
