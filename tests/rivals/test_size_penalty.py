"""A recogniser whose loss is led to a size.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from types import SimpleNamespace

import pytest
import speechbrain as sb
import torch

from speechbrain_neuronprune import PruningPlan, adaptive_dropouts, compact
from speechbrain_neuronprune.brains.recogniser import AdaptiveDropoutASR
from speechbrain_neuronprune.rivals.hard_concrete import HardConcrete
from speechbrain_neuronprune.rivals.size_penalty import SizePenaltyMixin
from speechbrain_neuronprune.shrinking import shrink
from speechbrain_neuronprune.units import count_parameters
from tests.tiny_run import rival_brain

PACKAGE = "!name:speechbrain_neuronprune"
TARGET = 0.6


@pytest.fixture
def brain(tmp_path, monkeypatch):
    """A tiny recogniser with hard concrete gates, and a loss of zero of its
    own."""
    brain = rival_brain(
        tmp_path,
        gate=f"{PACKAGE}.rivals.hard_concrete.HardConcrete",
        brain_class=f"{PACKAGE}.rivals.size_penalty.SizePenaltyASR",
        c_start=3.0,
        c_end=3.0,
        hold_steps=10,
        decline_steps=10,
        settle_step=400,
        target_parameters=TARGET,
        logits_pull=0.0,
        logits_lr=0.02,
    )
    zero = torch.zeros((), requires_grad=True)
    monkeypatch.setattr(
        AdaptiveDropoutASR, "compute_objectives", lambda *_: zero * 1.0
    )
    brain.init_optimizers()
    return brain


def penalty(brain, stage=sb.Stage.TRAIN):
    return brain.compute_objectives((), None, stage)


def test_it_begins_with_the_decline_and_ends_when_settled(brain):
    brain.multipliers.linear.data.fill_(1.0)
    assert penalty(brain) == 0
    brain.schedule.advance(15)
    assert brain.wanted == pytest.approx(0.8)
    assert penalty(brain) > 0
    assert penalty(brain, sb.Stage.VALID) == 0
    brain.schedule.advance(385)
    assert penalty(brain) == 0


def test_the_expected_share_is_that_of_compaction(brain):
    gates = adaptive_dropouts(brain.pruned)
    torch.manual_seed(0)
    keep = {name: torch.rand(gate.size) < 0.7 for name, gate in gates.items()}
    for name, gate in gates.items():
        gate.logits.data = (keep[name].float() - 0.5) * 1000
    small = brain.other_parameters + count_parameters(
        compact(brain.pruned, brain.plan_for(brain.expected_share().item()))
    )
    whole = count_parameters(brain.modules)
    assert brain.expected_share().item() == pytest.approx(
        small / whole, abs=0.01
    )


def test_layers_without_gates_may_have_units_that_cannot_go(partly_gated):
    model = partly_gated(HardConcrete)
    for gate in adaptive_dropouts(model).values():
        torch.nn.init.constant_(gate.logits, 100.0)
    brain = SimpleNamespace(
        pruned=model,
        other_parameters=0,
        _all_parameters=count_parameters(model),
    )
    assert SizePenaltyMixin.expected_share(brain).item() == pytest.approx(1.0)


def test_units_that_have_left_count_as_gone(brain):
    gates = adaptive_dropouts(brain.pruned)
    keep = {n: torch.arange(g.size) % 2 == 0 for n, g in gates.items()}
    for name, gate in gates.items():
        gate.logits.data = (keep[name].float() - 0.5) * 1000
    share = brain.expected_share().item()
    shrink(brain.pruned, PruningPlan(keep))
    assert brain.expected_share().item() == pytest.approx(share, abs=1e-6)


def test_the_wanted_size_may_be_a_count(brain):
    brain.schedule.advance(20)
    brain.hparams.target_parameters = count_parameters(brain.modules) // 2
    assert brain.wanted == pytest.approx(0.5, abs=1e-4)


def test_the_size_is_reached(brain):
    brain.multiplier_lr = 0.1
    brain.schedule.advance(20)
    for _ in range(300):
        penalty(brain).backward()
        for optimizer in brain.optimizers_dict.values():
            optimizer.step()
            optimizer.zero_grad()
    assert brain.expected_share().item() == pytest.approx(TARGET, abs=0.05)


def test_multipliers_are_saved(brain):
    recoverables = brain.checkpointer.recoverables
    assert {"multipliers", "multipliers_optimizer"} <= recoverables.keys()
