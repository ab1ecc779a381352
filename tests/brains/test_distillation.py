"""A Brain with a teacher: what it adds to the loss, and what it leaves alone.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy

import pytest
import speechbrain as sb
import torch

from speechbrain_neuronprune import RetentionSchedule, attach_adaptive_dropout
from speechbrain_neuronprune.brains import (
    AdaptiveDropoutMixin,
    DistillationMixin,
)
from speechbrain_neuronprune.brains.distillation_losses import (
    block_loss,
    posterior_loss,
)
from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.units import count_parameters

LENGTHS = torch.tensor([1.0, 0.6])


class Recogniser(AdaptiveDropoutMixin, sb.Brain):
    """The parts of a recogniser that a teacher has to do with."""

    def activations(self, features, lengths):
        return self.modules.Transformer(features, None, lengths)[0]

    def compute_forward(self, batch, stage):
        return self.activations(batch, LENGTHS), LENGTHS, None

    def compute_objectives(self, predictions, batch, stage):
        return predictions[0].square().mean()


class Student(DistillationMixin, Recogniser):
    """The same with a teacher."""


class Teacher(torch.nn.Module):
    """Features to activations, as a starting point's chain gives them."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x, lengths=None):
        return self.network.encode(x, lengths)


@pytest.fixture
def make_student(make_asr):
    def build(posteriors=0.0, blocks=0.0, temperature=1.0, network=None):
        network = make_asr() if network is None else network
        if hasattr(network, "encoder"):
            attach_adaptive_dropout(network, RetentionSchedule(steps=4))
        hparams = {
            "distill_posteriors": posteriors,
            "distill_blocks": blocks,
            "distill_temperature": temperature,
            "logits_opt_class": torch.optim.Adam,
            "target_parameters": 0.6,
            "round_to": 1,
            "balance_heads": False,
        }
        return Student({"Transformer": network}, torch.optim.Adam, hparams)

    return build


@pytest.fixture
def batch():
    return torch.randn(2, 10, 20)


def loss_of(student, batch, stage=sb.Stage.TRAIN):
    """The loss as ``fit`` finds it, with draws that are always the same."""
    student.modules.train(stage == sb.Stage.TRAIN)
    torch.manual_seed(0)
    predictions = student.compute_forward(batch, stage)
    return student.compute_objectives(predictions, batch, stage)


def test_the_weighted_distances_are_added(make_student, make_asr, batch):
    teacher = make_asr()
    start = make_asr().state_dict()
    losses = {}
    for weights in ((2.0, 0.0), (0.0, 3.0), (2.0, 3.0), (0.0, 0.0)):
        student = make_student(*weights, temperature=2.0)
        student.pruned.load_state_dict(start)
        student.learn_from(Teacher(teacher))
        losses[weights] = loss_of(student, batch).item()
    plain = losses[0.0, 0.0]
    extra = {weights: loss - plain for weights, loss in losses.items()}
    assert extra[2.0, 0.0] > 0 and extra[0.0, 3.0] > 0
    both = extra[2.0, 0.0] + extra[0.0, 3.0]
    assert extra[2.0, 3.0] == pytest.approx(both, rel=1e-4)


def test_the_distances_are_those_of_the_open_teacher(
    make_student, make_asr, batch
):
    teacher = make_asr()
    student = make_student(posteriors=1.0, blocks=1.0)
    student.learn_from(Teacher(teacher))
    student.pruned.eval()  # so that no unit is dropped
    student.modules.training = True
    own = student.activations(batch, LENGTHS)
    taught = teacher.encode(batch, LENGTHS)
    blocks = []
    for network in (student.pruned, teacher):
        seen = []
        hooks = [
            layer.register_forward_hook(
                lambda _, inputs, output, seen=seen: seen.append(output[0])
            )
            for layer in network.encoder.layers
        ]
        network.encode(batch, LENGTHS)
        [hook.remove() for hook in hooks]
        blocks.append(seen)
    expected = posterior_loss(own, taught, LENGTHS) + block_loss(
        *blocks, LENGTHS
    )
    assert student.distance.item() == pytest.approx(expected.item(), rel=1e-5)


def test_evaluation_does_not_ask_the_teacher(make_student, make_asr, batch):
    student = make_student(posteriors=1.0)
    student.learn_from(Teacher(make_asr()))
    student.teacher.forward = None  # calling it would raise
    loss = loss_of(student, batch, sb.Stage.VALID)
    expected = Recogniser.compute_objectives(
        student, student.compute_forward(batch, sb.Stage.VALID), None, None
    )
    assert loss == expected


def test_the_teacher_learns_nothing_and_counts_nowhere(
    make_student, make_asr, batch
):
    teacher = make_asr()
    before = copy.deepcopy(teacher.state_dict())
    student = make_student(posteriors=1.0, blocks=1.0)
    size = count_parameters(student.modules)
    student.learn_from(Teacher(teacher.train()))
    student.init_optimizers()
    student.modules.train()
    student.fit_batch(batch)
    assert count_parameters(student.modules) == size
    assert not teacher.training
    for name, value in teacher.state_dict().items():
        assert torch.equal(value, before[name]), name
    learning = {
        id(parameter)
        for optimizer in student.optimizers_dict.values()
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert not learning & {id(p) for p in teacher.parameters()}


def test_blocks_learn_from_their_teachers(make_student, make_asr, batch):
    student = make_student(blocks=1.0)
    student.learn_from(Teacher(make_asr()))
    loss_of(student, batch).backward()
    first = student.pruned.encoder.layers[0].ffn_module1[1].ffn[0].weight
    assert first.grad.norm() > 0


def test_without_weights_no_teacher_is_kept(make_student, make_asr):
    student = make_student()
    student.learn_from(Teacher(make_asr()))
    assert student.teacher is None
    student.on_fit_start()  # does not miss it


def test_weights_without_a_teacher_are_refused(make_student):
    student = make_student(posteriors=1.0)
    with pytest.raises(TrainingError, match="no teacher.*starting_point"):
        student.on_fit_start()


def test_blocks_that_do_not_exist_are_refused(make_student):
    linear = torch.nn.Linear(2, 2)
    student = make_student(blocks=1.0, network=linear)
    with pytest.raises(TrainingError, match="--distill_blocks=0"):
        student.learn_from(linear)
