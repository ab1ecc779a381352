"""Brains whose model shrinks: in time, in checkpoints, in what they log."""

import pytest
import torch

from speechbrain_neuronprune import PruningPlan, adaptive_dropouts, compact
from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.shrinking import whole_form
from speechbrain_neuronprune.units import count_parameters
from tests.toy_brain import BATCHES, fit, kill_at

SETTLE_STEP = 5


@pytest.fixture
def make_shrinking(make_brain):
    def build(shrink=True, every=None, below=0.01, **options):
        brain = make_brain(**{"settle_step": SETTLE_STEP, **options})
        brain.hparams.shrink = shrink
        brain.hparams.shrink_every = every
        brain.hparams.shrink_below = below
        brain.sizes = sizes = {}
        brain.on_fit_batch_end = lambda *_: sizes.update(
            {brain.optimizer_step: count_parameters(brain.pruned)}
        )
        return brain

    return build


def weights(brain):
    plan = brain.make_plan()
    return compact(brain.pruned, plan).state_dict()


def same(one, two, tolerance=0.0):
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, two[name], rtol=0, atol=tolerance)


def test_the_model_shrinks_when_it_settles_and_then_trains_alike(
    make_shrinking, tmp_path
):
    whole = make_shrinking(shrink=False, epochs=1)
    fit(whole)
    whole.checkpointer.delete_checkpoints(num_to_keep=0)
    small = make_shrinking(epochs=1)
    dense = count_parameters(small.pruned)
    fit(small)
    assert small.sizes[SETTLE_STEP - 1] == dense
    assert small.sizes[SETTLE_STEP] == pytest.approx(0.6 * dense, rel=0.01)
    assert count_parameters(small.pruned) == dense  # it has grown back
    same(weights(small), weights(whole), tolerance=1e-5)


@pytest.mark.parametrize("saved", [3, BATCHES + 3])
def test_a_killed_run_goes_on_from_before_or_after_a_shrink(
    make_shrinking, saved
):
    options = {"ckpt_interval_minutes": 0, "ckpt_interval_steps": 3}
    killed = make_shrinking(**options)
    kill = kill_at(step=saved + 1)
    sizes = killed.on_fit_batch_end
    killed.on_fit_batch_end = lambda *given: (sizes(*given), kill(*given))
    with pytest.raises(KeyboardInterrupt):
        fit(killed)
    resumed = make_shrinking()
    fit(resumed)
    first = min(resumed.sizes)
    assert first == saved + 1
    assert resumed.sizes[first] == killed.sizes[first]
    assert resumed.sizes[first] < killed.sizes[1] or saved < SETTLE_STEP
    assert resumed.sizes[max(resumed.sizes)] < killed.sizes[1]


def test_a_finished_run_is_opened_without_knowing_of_it(make_shrinking):
    brain = make_shrinking(epochs=2)
    fit(brain)
    plain = make_shrinking(shrink=False, epochs=2)
    plain.checkpointer.recover_if_possible()
    same(plain.pruned.state_dict(), brain.pruned.state_dict())
    keep = plain.make_plan().keep
    for name, units in brain.make_plan().keep.items():
        assert torch.equal(units, keep[name])
    size = count_parameters(compact(plain.pruned, PruningPlan(keep)))
    wanted = 0.6 * count_parameters(plain.pruned)
    assert size == pytest.approx(wanted, rel=0.01)


def test_a_shrunk_run_resumes_shrunk(make_shrinking):
    fit(make_shrinking(epochs=1))
    brain = make_shrinking(epochs=2)
    fit(brain)
    dense = count_parameters(brain.pruned)
    assert brain.sizes[BATCHES + 1] == pytest.approx(0.6 * dense, rel=0.01)
    for optimizer in brain.optimizers_dict.values():
        held = [p for group in optimizer.param_groups for p in group["params"]]
        ours = {id(p) for p in brain.pruned.parameters()}
        assert {id(p) for p in held} <= ours


def test_sealed_units_leave_before_the_rest_is_settled(make_shrinking):
    brain = make_shrinking(every=1, below=0.1, settle_step=None)
    fit(brain)
    dense = count_parameters(brain.pruned)
    assert brain.sizes[BATCHES] == dense
    assert 0.61 * dense < brain.sizes[BATCHES + 1] < dense
    gates = adaptive_dropouts(brain.pruned).values()
    assert all(gate.logits.requires_grad for gate in gates)
    assert not any(gate.settled for gate in gates)
    size = count_parameters(compact(brain.pruned, brain.make_plan()))
    assert size == pytest.approx(0.6 * dense, rel=0.01)
    longer = make_shrinking(epochs=3, every=5, settle_step=None)
    fit(longer)  # what had left is not back
    assert longer.sizes[2 * BATCHES + 1] < dense


def test_units_that_are_drawn_often_enough_stay(make_shrinking):
    brain = make_shrinking(every=1, below=1e-6, settle_step=None)
    fit(brain)
    assert set(brain.sizes.values()) == {count_parameters(brain.pruned)}


def test_the_log_is_that_of_the_whole_model(make_shrinking):
    brain = make_shrinking(epochs=2)
    fit(brain)
    first, last = brain._retention_log.lines()
    assert last["dense_parameters"] == count_parameters(brain.pruned)
    assert last["groups"].keys() == adaptive_dropouts(brain.pruned).keys()
    kept = last["kept_parameters"]
    assert kept == pytest.approx(0.6 * last["dense_parameters"], rel=0.02)
    assert whole_form(brain.pruned) is brain.pruned


def test_mixed_precision_shrinks_too(make_shrinking):
    brain = make_shrinking(epochs=1, precision="bf16")
    fit(brain)
    assert brain.sizes[BATCHES] < brain.sizes[1]
    for parameter in brain.pruned.parameters():
        assert parameter.dtype == torch.float32


def test_shrinking_that_would_never_happen_is_refused(make_shrinking):
    brain = make_shrinking(settle_step=None)
    with pytest.raises(TrainingError, match="shrink_every: null"):
        fit(brain)
