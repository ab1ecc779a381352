"""Brains that train gates: schedule, decisions, resume, precision.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch
from speechbrain.utils.epoch_loop import EpochCounter

from speechbrain_neuronprune import PruningPlan, adaptive_dropouts, compact
from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.units import count_parameters
from tests.toy_brain import BATCHES, Toy, fit, kill_at, logits


def test_both_optimizers_step(make_brain):
    brain = make_brain(epochs=1)
    weight = brain.pruned.encoder.layers[0].ffn_module1[1].ffn[0].weight
    before = weight.detach().clone()
    fit(brain)
    assert not torch.equal(weight, before)
    assert all(values.ne(0).any() for values in logits(brain))


@pytest.mark.parametrize("factor, steps", [(1, 6), (3, 2), (4, 1)])
def test_c_advances_once_per_optimizer_step(make_brain, factor, steps):
    brain = make_brain(epochs=1, grad_accumulation_factor=factor)
    fit(brain)
    assert brain.optimizer_step == steps
    assert brain.schedule.step == steps


def test_the_final_phase_begins_when_c_has_arrived(make_brain):
    brain = make_brain()
    assert not brain.final_phase
    brain.schedule.advance(4)
    assert brain.final_phase


def test_the_papers_rule_decides_where_no_other_is_given(make_brain):
    brain = make_brain(epochs=1, settle_step=5, rule={})
    for gate in adaptive_dropouts(brain.pruned).values():
        torch.nn.init.normal_(gate.logits, -12.0)
    paper = PruningPlan.from_retention(brain.pruned).keep
    assert not all(keep.all() for keep in paper.values())
    for name, keep in brain.make_plan().keep.items():
        assert torch.equal(keep, paper[name])
    fit(brain)
    assert all(g.settled for g in adaptive_dropouts(brain.pruned).values())


def test_settling_decides_at_its_step_for_good(make_brain):
    brain = make_brain(epochs=1, settle_step=5)
    fit(brain)
    gates = adaptive_dropouts(brain.pruned).values()
    for gate in gates:
        assert not gate.logits.requires_grad
        certain = gate.retention()
        assert torch.equal(certain, certain.round())
    decided = brain.make_plan().keep
    longer = make_brain(epochs=2, settle_step=5)
    fit(longer)  # resumes, one epoch more
    assert all(
        torch.equal(decided[n], k) for n, k in longer.make_plan().keep.items()
    )
    for gate in adaptive_dropouts(longer.pruned).values():
        assert not gate.logits.requires_grad


def test_a_run_that_goes_on_with_an_earlier_settle_step_is_settled(make_brain):
    fit(make_brain(epochs=1, settle_step=100))
    brain = make_brain(epochs=2, settle_step=2)
    fit(brain)
    for gate in adaptive_dropouts(brain.pruned).values():
        assert gate.settled
        assert not gate.logits.requires_grad


@pytest.mark.parametrize("target, warned", [(0.6, False), (0.4, True)])
def test_a_settled_run_that_is_asked_for_another_size_says_so(
    make_brain, caplog, target, warned
):
    fit(make_brain(epochs=1, settle_step=5))
    rule = {"target_parameters": target}
    fit(make_brain(epochs=2, settle_step=5, rule=rule))
    assert ("units were settled before" in caplog.text) == warned


def test_a_pruned_module_that_is_none_is_named(make_brain):
    brain = make_brain()
    brain.pruned_module = "encoder"
    message = "pruned_module of PruningToy is encoder, .* are Transformer;"
    with pytest.raises(TrainingError, match=message):
        fit(brain)


def test_the_final_phase_waits_for_settling(make_brain):
    brain = make_brain(settle_step=6)
    brain.schedule.advance(5)
    assert not brain.final_phase
    brain.schedule.advance(1)
    assert brain.final_phase


def test_a_settled_model_has_the_wanted_size(make_brain):
    brain = make_brain(epochs=1, settle_step=5)
    fit(brain)
    small = compact(brain.pruned, brain.make_plan())
    wanted = 0.6 * count_parameters(brain.pruned)
    assert count_parameters(small) == pytest.approx(wanted, rel=0.01)


def test_a_dense_model_trains_the_same_way(make_brain):
    brain = make_brain(gated=False)
    fit(brain)
    assert brain.optimizer_step == 2 * BATCHES
    assert brain.schedule is None and brain.final_phase
    assert list(brain.optimizers_dict) == ["opt_class"]
    assert brain.retention_stats() == {}
    last = brain._retention_log.lines()[-1]
    assert last["c"] is None
    assert last["kept_parameters"] == last["dense_parameters"]


def test_dense_steps_are_those_of_the_brain_without_the_mixin(make_brain):
    pruning, plain = make_brain(gated=False), make_brain(gated=False)
    plain = Toy(
        modules=dict(plain.modules),
        opt_class=plain.opt_class,
        hparams={"epoch_counter": EpochCounter(limit=2)},
        run_opts={"device": "cpu", "noprogressbar": True},
    )
    fit(plain)
    fit(pruning)
    for a, b in zip(
        plain.modules.parameters(),
        pruning.modules.parameters(),
        strict=True,
    ):
        assert torch.equal(a, b)


def test_a_resumed_run_has_the_same_step_and_logits(make_brain):
    first = make_brain(epochs=2)
    fit(first)
    second = make_brain(epochs=2)
    fit(second)  # recovers, and has nothing left to do
    assert second.schedule.step == first.schedule.step == 2 * BATCHES
    assert second.schedule.c() == -2.0
    for a, b in zip(logits(first), logits(second), strict=True):
        assert torch.equal(a, b)
    states = [brain.logits_optimizer.state_dict() for brain in (first, second)]
    assert states[0]["state"][0]["step"] == states[1]["state"][0]["step"]


def test_a_kill_within_an_epoch_loses_only_what_was_not_saved(make_brain):
    killed = make_brain(epochs=2, ckpt_interval_steps=4)
    killed.on_fit_batch_end = kill_at(step=BATCHES + 5)
    with pytest.raises(KeyboardInterrupt):
        fit(killed)
    assert len(killed._retention_log.lines()) == 1
    resumed = make_brain(epochs=2)
    resumed.init_optimizers()
    resumed.checkpointer.recover_if_possible()
    assert resumed.schedule.step == BATCHES + 4
    assert resumed.optimizer_step == BATCHES + 4


def test_mixed_precision_keeps_the_logits_in_float32(make_brain):
    brain = make_brain(epochs=1, precision="bf16")
    fit(brain)
    assert brain.schedule.step == BATCHES
    assert all(values.dtype == torch.float32 for values in logits(brain))


@pytest.mark.parametrize("bad", ["logits", "weights"])
def test_a_step_that_the_scaler_skips_is_none(make_brain, bad):
    brain = make_brain(epochs=1)
    # The host refuses fp16 on a CPU; torch does not.
    brain.scaler = torch.GradScaler("cpu", init_scale=2.0**10)
    brain.training_ctx = torch.autocast("cpu", dtype=torch.float16)
    gates = adaptive_dropouts(brain.pruned).values()
    weight = brain.pruned.encoder.layers[0].ffn_module1[1].ffn[0].weight
    broken = next(iter(gates)).logits if bad == "logits" else weight
    spoil = iter([False, True, True])

    def hook(gradient):
        return gradient * float("inf") if next(spoil, False) else gradient

    broken.register_hook(hook)
    fit(brain)
    assert brain.optimizer_step == BATCHES
    assert brain.schedule.step == BATCHES - 2
    assert torch.isfinite(broken).all()
    assert all(values.dtype == torch.float32 for values in logits(brain))
