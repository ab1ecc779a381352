"""A recogniser that Torch-Pruning cuts.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch

from speechbrain_neuronprune import adaptive_dropouts, compact, find_units
from speechbrain_neuronprune.errors import PlanError
from speechbrain_neuronprune.rivals.torch_pruning import STEPS
from speechbrain_neuronprune.units import count_parameters
from tests.tiny_run import rival_brain

PACKAGE = "!name:speechbrain_neuronprune"
SETTLE = 2 * STEPS


@pytest.fixture
def brain(tmp_path):
    return rival_brain(
        tmp_path,
        gate=f"{PACKAGE}.gates.open_gate.OpenGate",
        brain_class=f"{PACKAGE}.rivals.torch_pruning.TorchPruningASR",
        settle_step=SETTLE,
        d_ffn=96,
    )


def step(brain, at, gradient):
    """A step with the same gradients everywhere."""
    brain.schedule.step = at
    for parameter in brain.modules.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.full_like(parameter, gradient)
    brain.optimizers_step()


def test_the_gradients_of_the_last_steps_count(brain):
    brain.init_optimizers()
    step(brain, SETTLE - STEPS - 1, 7.0)
    assert not hasattr(brain, "_sums")
    step(brain, SETTLE - STEPS, 2.0)
    step(brain, SETTLE - STEPS + 1, -3.0)
    names = set(find_units(brain.pruned, ["ffn"]))
    assert names and set(brain._sums) == names
    # Clipped, if at all, afterwards
    for sums in brain._sums.values():
        assert [float(one.unique()) for one in sums] == [-1.0, -1.0]


def test_feed_forward_units_go_and_nothing_else(brain):
    brain.init_optimizers()
    step(brain, SETTLE - 2, 1.0)
    plan = brain.plan_for(0.6)
    assert set(plan.keep) == set(adaptive_dropouts(brain.pruned))
    ffn = find_units(brain.pruned, ["ffn"])
    for name, keep in plan.keep.items():
        assert bool(keep.all()) == (name not in ffn)
    left = brain.other_parameters + count_parameters(
        compact(brain.pruned, plan)
    )
    whole = brain.other_parameters + count_parameters(brain.pruned)
    assert left == pytest.approx(0.6 * whole, rel=0.02)
    # As the definition has it: |weight x gradient| of what a unit owns
    for name, linears in brain._feed_forwards():
        into, out = (linear.weight.detach().abs() for linear in linears)
        owned = into.sum(1) + out.sum(0)
        torch.testing.assert_close(
            brain.scores()[name], owned / owned.mean(), rtol=1e-4, atol=1e-4
        )


def test_the_cut_leaves_other_gates_open(brain):
    brain.init_optimizers()
    step(brain, SETTLE - 2, 1.0)
    brain.hparams.target_parameters = 0.6
    step(brain, SETTLE - 1, 1.0)
    assert all(g.settled for g in adaptive_dropouts(brain.pruned).values())
    plan = brain.plan_for(0.6)
    ffn = find_units(brain.pruned, ["ffn"])
    others = [keep for name, keep in plan.keep.items() if name not in ffn]
    assert others and all(keep.all() for keep in others)
    assert not all(plan.keep[name].all() for name in ffn)


def test_what_is_not_to_be_reached_so(brain):
    brain.init_optimizers()
    step(brain, SETTLE - 1, 1.0)
    with pytest.raises(PlanError):
        brain.plan_for(0.05)
