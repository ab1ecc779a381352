"""Brains whose logits have an optimiser of their own.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from functools import partial

import pytest
import torch

from speechbrain_neuronprune import (
    RetentionSchedule,
    adaptive_dropouts,
    attach_adaptive_dropout,
)
from speechbrain_neuronprune.errors import TrainingError
from tests.toy_brain import (
    BATCHES,
    RULE,
    BypassingToy,
    PruningToy,
    PruningTwofoldToy,
    fit,
    logits,
)


class OldToy(PruningToy):
    """One that fills no dictionary, which SpeechBrain allows."""

    def init_optimizers(self):
        self.optimizer = self.opt_class(self.modules.parameters())


def test_logits_have_an_optimizer_of_their_own(make_brain):
    brain = make_brain()
    brain.init_optimizers()
    [model_group] = brain.optimizer.param_groups
    [logit_group] = brain.logits_optimizer.param_groups
    assert logit_group["lr"], logit_group["weight_decay"] == (0.01, 0.002)
    gates = adaptive_dropouts(brain.pruned).values()
    assert {id(p) for p in logit_group["params"]} == {
        id(gate.logits) for gate in gates
    }
    everything = {id(p) for p in brain.modules.parameters()}
    model = {id(p) for p in model_group["params"]}
    assert model == everything - {id(p) for p in logit_group["params"]}


def test_vectors_without_decay_leave_the_logits_out_too(make_brain):
    brain = make_brain(remove_vector_weight_decay=True)
    brain.init_optimizers()
    counted = sum(len(g["params"]) for g in brain.optimizer.param_groups)
    gates = adaptive_dropouts(brain.pruned)
    assert counted + len(gates) == len(list(brain.modules.parameters()))


def test_a_brains_own_optimizers_stay(make_brain):
    brain = make_brain(kind=PruningTwofoldToy)
    fit(brain)
    kinds = {name: type(one) for name, one in brain.optimizers_dict.items()}
    adam = torch.optim.Adam
    assert kinds == {
        "even": torch.optim.SGD,
        "odd": adam,
        "logits_opt_class": adam,
    }
    learned = [
        id(parameter)
        for optimizer in brain.optimizers_dict.values()
        for group in optimizer.param_groups
        for parameter in group["params"]
    ]
    assert sorted(learned) == sorted(map(id, brain.modules.parameters()))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"opt_class": None}, "optimizers_dict of PruningToy is None"),
        ({"kind": BypassingToy}, "init_optimizers of BypassingToy replaces"),
        ({"kind": OldToy}, "init_optimizers of OldToy replaces"),
    ],
    ids=str,
)
def test_logits_or_a_model_without_an_optimizer_are_refused(
    make_brain, options, message
):
    with pytest.raises(TrainingError, match=message):
        fit(make_brain(**options))


def test_a_schedule_that_follows_the_optimizer_is_refused(make_brain):
    """It would advance twice per step."""
    brain = make_brain(gated=False)
    attach_adaptive_dropout(brain.pruned, RetentionSchedule(), gamma=1e-3)
    with pytest.raises(TrainingError, match="advance twice"):
        brain.init_optimizers()


def test_the_pull_is_coupled_weight_decay(make_brain):
    brain = make_brain()
    brain.init_optimizers()
    for gate in adaptive_dropouts(brain.pruned).values():
        torch.nn.init.constant_(gate.logits, 0.5)
        gate.logits.grad = torch.zeros_like(gate.logits)
    brain.logits_optimizer.step()
    # Adam turns any gradient into a first step of the learning rate.
    for values in logits(brain):
        assert values == pytest.approx(0.49, abs=1e-4)


def test_a_run_that_goes_on_takes_the_logits_settings_that_it_is_given(
    make_brain,
):
    """A checkpoint's would go before them, and nobody would notice."""
    fit(make_brain(epochs=1))
    other = partial(torch.optim.Adam, lr=0.5, weight_decay=0.3)
    brain = make_brain(epochs=2, rule={**RULE, "logits_opt_class": other})
    fit(brain)
    [group] = brain.logits_optimizer.param_groups
    assert (group["lr"], group["weight_decay"]) == (0.5, 0.3)
    [state, *_] = brain.logits_optimizer.state.values()
    assert state["step"] == 2 * BATCHES  # what it remembers stays


def in_two_groups(logits):
    groups = [{"params": logits[:2], "lr": 0.5}, {"params": logits[2:]}]
    return torch.optim.Adam(groups, lr=0.01)


def test_groups_of_logits_keep_settings_of_their_own(make_brain):
    fit(make_brain(epochs=1, rule={**RULE, "logits_opt_class": in_two_groups}))
    brain = make_brain(rule={**RULE, "logits_opt_class": in_two_groups})
    brain.on_fit_start()  # resumes
    rates = [group["lr"] for group in brain.logits_optimizer.param_groups]
    assert rates == [0.5, 0.01]


def other_module():
    return torch.nn.Sequential(
        torch.nn.Linear(20, 8), torch.nn.ReLU(), torch.nn.Linear(8, 20)
    )


@pytest.mark.parametrize("gated", [False, True])
def test_gates_of_another_module_are_refused(make_brain, gated):
    """They would never close, nor be settled."""
    brain = make_brain(gated=gated)
    brain.modules["pre"] = attach_adaptive_dropout(
        other_module(), brain.schedule or RetentionSchedule()
    )
    message = "gates in pre, and .* prunes Transformer alone.*pruned_module"
    with pytest.raises(TrainingError, match=message):
        brain.init_optimizers()


def test_other_gates_may_follow_the_optimizer_by_themselves(make_brain):
    brain = make_brain()
    brain.modules["pre"] = attach_adaptive_dropout(
        other_module(), RetentionSchedule(), gamma=1e-3
    )
    brain.modules["all"] = torch.nn.ModuleList([brain.pruned])  # no others
    brain.init_optimizers()
    assert "logits_opt_class" in brain.optimizers_dict


def test_the_scaler_bears_logits_that_are_settled(make_brain):
    brain = make_brain(epochs=1, settle_step=3)
    brain.scaler = torch.GradScaler("cpu", init_scale=2.0**10)
    brain.training_ctx = torch.autocast("cpu", dtype=torch.float16)
    fit(brain)
    assert brain.schedule.step == BATCHES
