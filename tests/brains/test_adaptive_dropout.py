"""Brains that train gates: optimisers, schedule, log, resume, bad losses.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from functools import partial
from types import SimpleNamespace

import pytest
import speechbrain as sb
import torch
from speechbrain.lobes.models.convolution import ConvolutionFrontEnd
from speechbrain.nnet.CNN import Conv2d
from speechbrain.utils.epoch_loop import EpochCounter

from speechbrain_neuronprune import (
    PruningPlan,
    RetentionSchedule,
    adaptive_dropouts,
    attach_adaptive_dropout,
    compact,
)
from speechbrain_neuronprune.brains import (
    AdaptiveDropoutASR,
    AdaptiveDropoutMixin,
)
from speechbrain_neuronprune.errors import PlanError, TrainingError
from speechbrain_neuronprune.layers.front_end import FastConv2d
from speechbrain_neuronprune.training.checkpoints import AtomicCheckpointer
from speechbrain_neuronprune.units import count_parameters

BATCHES = 6
RULE = {"target_parameters": 0.6}
ADAM = partial(torch.optim.Adam, lr=0.001, weight_decay=0.1)


class Toy(sb.Brain):
    """An existing Brain, which knows nothing of gates."""

    def compute_forward(self, batch, stage):
        return self.modules.Transformer(batch, None)[0]

    def compute_objectives(self, predictions, batch, stage):
        return predictions.square().mean()

    def on_stage_end(self, stage, stage_loss, epoch=None):
        if stage == sb.Stage.VALID and self.checkpointer is not None:
            self.checkpointer.save_checkpoint()


class PruningToy(AdaptiveDropoutMixin, Toy):
    """The same, pruning."""


class TwofoldToy(Toy):
    """A Brain with an optimiser for every other parameter."""

    def init_optimizers(self):
        parameters = list(self.modules.parameters())
        self.optimizers_dict = {
            "even": torch.optim.SGD(parameters[::2], 0.1),
            "odd": torch.optim.Adam(parameters[1::2], 0.2),
        }


class PruningTwofoldToy(AdaptiveDropoutMixin, TwofoldToy):
    """The same, pruning."""


class BypassingToy(PruningToy):
    """One that does not ask the mixin."""

    init_optimizers = TwofoldToy.init_optimizers


@pytest.fixture
def make_brain(tmp_path, make_asr):
    def build(
        gated=True,
        epochs=2,
        settle_step=None,
        steer_size=False,
        rule=RULE,
        kind=PruningToy,
        opt_class=ADAM,
        **run_opts,
    ):
        torch.manual_seed(0)
        network = make_asr()
        if gated:
            attach_adaptive_dropout(network, RetentionSchedule(steps=4))
        counter = EpochCounter(limit=epochs)
        hparams = {
            "logits_opt_class": partial(
                torch.optim.Adam, lr=0.01, weight_decay=0.002
            ),
            "epoch_counter": counter,
            "output_folder": str(tmp_path),
            "settle_step": settle_step,
            "steer_size": steer_size,
            **rule,
        }
        return kind(
            modules={"Transformer": network},
            opt_class=opt_class,
            hparams=hparams,
            run_opts={"device": "cpu", "noprogressbar": True, **run_opts},
            checkpointer=AtomicCheckpointer(
                tmp_path / "save", {"network": network, "counter": counter}
            ),
        )

    return build


def speech(batches=BATCHES):
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(2, 10, 20, generator=generator) for _ in range(batches)]


def fit(brain, batches=BATCHES):
    loader = torch.utils.data.DataLoader(speech(batches), batch_size=None)
    valid = torch.utils.data.DataLoader(speech(1), batch_size=None)
    brain.fit(brain.hparams.epoch_counter, loader, valid)


def logits(brain):
    gates = adaptive_dropouts(brain.pruned).values()
    return [gate.logits.detach().clone() for gate in gates]


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
    ],
    ids=str,
)
def test_logits_or_a_model_without_an_optimizer_are_refused(
    make_brain, options, message
):
    with pytest.raises(TrainingError, match=message):
        fit(make_brain(**options))


def test_both_optimizers_step(make_brain):
    brain = make_brain(epochs=1)
    weight = brain.pruned.encoder.layers[0].ffn_module1[1].ffn[0].weight
    before = weight.detach().clone()
    fit(brain)
    assert not torch.equal(weight, before)
    assert all(values.ne(0).any() for values in logits(brain))


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


# --------------------------------------------------------------- steering


def share_left(brain):
    """The paper's rule; the hyperparameters have no threshold."""
    small = compact(brain.pruned, PruningPlan.from_retention(brain.pruned))
    return count_parameters(small) / count_parameters(brain.pruned)


def test_a_steered_brain_ends_at_its_size_by_the_papers_rule(make_brain):
    brain = make_brain(steer_size=True)
    fit(brain)
    assert share_left(brain) == pytest.approx(0.6, rel=0.02)
    paper = PruningPlan.from_retention(brain.pruned).keep
    for name, keep in brain.make_plan().keep.items():
        assert torch.equal(keep, paper[name])
    last = brain._retention_log.lines()[-1]
    wanted = round(0.6 * count_parameters(brain.pruned))
    assert last["steered_parameters"] == wanted
    assert last["c"] == pytest.approx(-2.0 + last["c_offset"])


def test_a_steered_brain_settles_at_its_size(make_brain):
    brain = make_brain(steer_size=True, settle_step=9)
    fit(brain)
    assert brain.final_phase
    assert all(g.settled for g in adaptive_dropouts(brain.pruned).values())
    assert share_left(brain) == pytest.approx(0.6, rel=0.02)
    longer = make_brain(steer_size=True, settle_step=9, epochs=3)
    fit(longer)
    assert longer.schedule.c() == -2.0
    assert share_left(longer) == share_left(brain)


def test_a_resumed_brain_leads_nothing_that_is_settled(make_brain):
    shares = []
    for epochs in (2, 3):
        brain = make_brain(steer_size=True, settle_step=9, epochs=epochs)
        brain.hparams.round_to = 4
        fit(brain)
        assert brain.schedule.offset == 0
        shares.append(share_left(brain))
    assert shares[0] == shares[1]


def test_a_steered_brain_resumes_where_it_was(make_brain):
    fit(make_brain(steer_size=True, epochs=1))
    resumed = make_brain(steer_size=True, epochs=1)
    fit(resumed)  # nothing left to do
    assert resumed.schedule.units > 0
    assert share_left(resumed) == pytest.approx(0.6, rel=0.02)


def test_an_average_of_steered_checkpoints_is_steered_too(make_brain):
    brain = make_brain(steer_size=True)
    fit(brain)
    gates = adaptive_dropouts(brain.pruned).values()
    for gate in gates:  # as far from what was counted as averages can be
        gate.logits.data.normal_()
    brain.schedule.steering = None  # as in a run that is opened
    brain.lead_average()
    assert share_left(brain) == pytest.approx(0.6, rel=0.02)


def test_steering_cannot_settle_before_the_decline_is_over(make_brain):
    with pytest.raises(TrainingError, match="settled at step 3"):
        fit(make_brain(steer_size=True, settle_step=3))


def test_steering_to_an_impossible_size_stops_at_the_start(make_brain):
    brain = make_brain(steer_size=True)
    brain.hparams.target_parameters = 0.01
    with pytest.raises(PlanError, match="target of 0.01 is out of reach"):
        fit(brain)
    assert brain.optimizer_step == 0


def test_without_gates_there_is_nothing_to_steer(make_brain):
    brain = make_brain(gated=False, steer_size=True, epochs=1)
    fit(brain)
    assert brain.optimizer_step == BATCHES


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


def test_a_line_per_epoch_is_logged(make_brain):
    brain = make_brain(epochs=2)
    fit(brain)
    lines = brain._retention_log.lines()
    assert [line["epoch"] for line in lines] == [1, 2]
    assert [line["step"] for line in lines] == [BATCHES, 2 * BATCHES]
    assert [line["c"] for line in lines] == [-2.0, -2.0]
    assert all(line["train_loss"] > 0 for line in lines)
    assert all(line["valid_loss"] > 0 for line in lines)


def test_the_training_log_is_numbers(make_brain):
    stats = make_brain().retention_stats()
    assert stats["c"] == 10.0
    assert stats["alive ffn"] == 4 * 24
    assert stats["expected parameters"] > 0
    assert all(isinstance(value, (int, float)) for value in stats.values())


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
    killed.on_fit_batch_end = _kill_at(step=BATCHES + 5)
    with pytest.raises(KeyboardInterrupt):
        fit(killed)
    assert len(killed._retention_log.lines()) == 1
    resumed = make_brain(epochs=2)
    resumed.init_optimizers()
    resumed.checkpointer.recover_if_possible()
    assert resumed.schedule.step == BATCHES + 4
    assert resumed.optimizer_step == BATCHES + 4


def _kill_at(step):
    calls = iter(range(1, step + 1))

    def on_fit_batch_end(batch, outputs, loss, should_step):
        if next(calls) == step:
            raise KeyboardInterrupt

    return on_fit_batch_end


def test_lines_of_epochs_that_run_again_are_dropped(make_brain):
    fit(make_brain(epochs=1))
    brain = make_brain(epochs=2)
    brain._retention_log.append({"epoch": 2, "from": "the killed run"})
    fit(brain)
    lines = brain._retention_log.lines()
    assert [line["epoch"] for line in lines] == [1, 2]
    assert "from" not in lines[1]


def test_a_loss_that_is_no_number_stops_before_the_parameters(make_brain):
    brain = make_brain()
    before = [p.detach().clone() for p in brain.modules.parameters()]
    brain.compute_objectives = lambda predictions, batch, stage: (
        predictions.mean() * float("nan")
    )
    with pytest.raises(TrainingError, match="loss is nan at optimizer step 1"):
        fit(brain)
    for old, new in zip(before, brain.modules.parameters(), strict=True):
        assert torch.equal(old, new)


def test_single_bad_losses_may_be_skipped(make_brain):
    brain = make_brain(epochs=1, skip_nonfinite_grads=True)
    losses = iter([float("inf")] * 2 + [1.0] * 10)
    brain.compute_objectives = lambda predictions, batch, stage: (
        predictions.mean() * next(losses)
    )
    fit(brain)
    for parameter in brain.modules.parameters():
        assert torch.isfinite(parameter).all()


def test_patience_with_bad_losses_ends(make_brain):
    brain = make_brain(skip_nonfinite_grads=True, nonfinite_patience=2)
    brain.compute_objectives = lambda predictions, batch, stage: (
        predictions.mean() * float("nan")
    )
    with pytest.raises(TrainingError, match="--skip_nonfinite_grads"):
        fit(brain)
    assert brain.nonfinite_count == 3


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


def test_the_scaler_bears_logits_that_are_settled(make_brain):
    brain = make_brain(epochs=1, settle_step=3)
    brain.scaler = torch.GradScaler("cpu", init_scale=2.0**10)
    brain.training_ctx = torch.autocast("cpu", dtype=torch.float16)
    fit(brain)
    assert brain.schedule.step == BATCHES


# ------------------------------------------------------------ the recogniser


@pytest.fixture
def recogniser(make_asr):
    network = attach_adaptive_dropout(make_asr(), RetentionSchedule())
    words = ["", "ONE", "TWO"]
    tokenizer = SimpleNamespace(
        decode_ids=lambda ids: " ".join(words[i] for i in ids)
    )
    return AdaptiveDropoutASR(
        modules={"Transformer": network},
        opt_class=partial(torch.optim.Adam, lr=1.0),
        hparams={
            "logits_opt_class": partial(torch.optim.Adam, lr=0.01),
            "tokenizer": tokenizer,
            "lr_annealing": lambda optimizer: optimizer.param_groups[0].update(
                lr=0.5
            ),
            "decoding_function": partial(
                sb.decoders.ctc_greedy_decode, blank_id=0
            ),
        },
        run_opts={"device": "cpu"},
    )


def test_only_the_models_learning_rate_is_annealed(recogniser):
    recogniser.init_optimizers()
    recogniser.on_fit_batch_start(batch=None, should_step=False)
    assert recogniser.optimizer.param_groups[0]["lr"] == 1.0
    recogniser.on_fit_batch_start(batch=None, should_step=True)
    assert recogniser.optimizer.param_groups[0]["lr"] == 0.5
    assert recogniser.logits_optimizer.param_groups[0]["lr"] == 0.01


def test_words_and_references(recogniser):
    assert recogniser.words([[1, 2], []]) == [["ONE", "TWO"], []]
    batch = SimpleNamespace(wrd=["ONE TWO", "TWO"])
    assert recogniser.references(batch) == [["ONE", "TWO"], ["TWO"]]


def test_decoding_stops_at_the_length(recogniser):
    best = torch.tensor([[1, 1, 0, 2, 2, 2], [2, 0, 1, 1, 1, 1]])
    log_probs = torch.nn.functional.one_hot(best, 3).float()
    lengths = torch.tensor([1.0, 1 / 3])
    assert recogniser.decode(log_probs, lengths) == [[1, 2], [2]]


def test_a_network_is_replaced_for_a_while(recogniser, make_asr):
    original, other = recogniser.pruned, make_asr().train()
    with pytest.raises(KeyboardInterrupt):
        with recogniser.replaced(other):
            assert recogniser.pruned is other and not other.training
            raise KeyboardInterrupt
    assert recogniser.pruned is original


def test_a_schedule_that_follows_the_optimizer_is_refused(make_brain):
    """It would advance twice per step."""
    brain = make_brain(gated=False)
    attach_adaptive_dropout(brain.pruned, RetentionSchedule(), gamma=1e-3)
    with pytest.raises(TrainingError, match="advance twice"):
        brain.init_optimizers()


@pytest.mark.parametrize("gated", [True, False])
def test_what_stands_before_gates_is_fast(gated, make_asr):
    network = make_asr()
    if gated:
        attach_adaptive_dropout(network, RetentionSchedule())
    front = ConvolutionFrontEnd(
        (None, None, 8), num_blocks=1, num_layers_per_block=1, residuals=[False]
    )
    AdaptiveDropoutASR(modules={"CNN": front, "Transformer": network})
    kinds = {type(part) for part in front.modules()}
    assert (FastConv2d in kinds) == gated and (Conv2d in kinds) != gated
