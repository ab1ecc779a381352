"""Distillation losses against plain loops, and the listening to blocks.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from speechbrain_neuronprune import RetentionSchedule, attach_adaptive_dropout
from speechbrain_neuronprune.brains.distillation_losses import (
    block_loss,
    block_outputs,
    find_blocks,
    posterior_loss,
)

FRAMES, WIDTH = 6, 3


@st.composite
def pairs(draw):
    """What student and teacher make of the same frames, and how many of an
    utterance's frames are no padding."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    sizes = draw(st.lists(st.integers(1, FRAMES), min_size=1, max_size=3))
    shape = (2, len(sizes), FRAMES, WIDTH)
    student, teacher = 3 * torch.randn(shape, generator=generator)
    return student, teacher, sizes


def relative(sizes):
    return torch.tensor(sizes) / FRAMES


def softmax(values, temperature):
    powers = [math.exp(value / temperature) for value in values.tolist()]
    return [power / sum(powers) for power in powers]


@settings(max_examples=15)
@given(pairs(), st.sampled_from([0.5, 1.0, 4.0]))
def test_the_divergence_is_that_of_a_loop(pair, temperature):
    student, teacher, sizes = pair
    total = 0.0
    for row, size in enumerate(sizes):
        for frame in range(size):
            p = softmax(teacher[row, frame], temperature)
            q = softmax(student[row, frame], temperature)
            for one, other in zip(p, q, strict=True):
                total += one * math.log(one / other)
    expected = temperature**2 * total / sum(sizes)
    found = posterior_loss(student, teacher, relative(sizes), temperature)
    assert found.item() == pytest.approx(expected, rel=1e-3, abs=1e-5)


@settings(max_examples=15)
@given(st.lists(pairs(), min_size=2, max_size=2))
def test_the_distance_of_blocks_is_that_of_a_loop(blocks):
    (student, teacher, sizes), (other, another, _) = blocks
    other, another = (
        x[:1].expand(len(sizes), -1, -1) for x in (other, another)
    )
    total = 0.0
    for own, taught in ((student, teacher), (other, another)):
        for row, size in enumerate(sizes):
            for frame in range(size):
                for channel in range(WIDTH):
                    gap = own[row, frame, channel] - taught[row, frame, channel]
                    total += gap.item() ** 2
    found = block_loss([student, other], [teacher, another], relative(sizes))
    assert found.item() == pytest.approx(total / (2 * sum(sizes) * WIDTH), 1e-4)


@settings(max_examples=15)
@given(pairs())
def test_padding_has_no_influence(pair):
    student, teacher, sizes = pair
    lengths = relative(sizes)
    before = (
        posterior_loss(student, teacher, lengths),
        block_loss([student], [teacher], lengths),
    )
    for row, size in enumerate(sizes):
        student[row, size:] = 1e3
        teacher[row, size:] = float("nan")
    after = (
        posterior_loss(student, teacher, lengths),
        block_loss([student], [teacher], lengths),
    )
    assert before == after


def test_gradients_do_not_shrink_with_the_temperature():
    teacher, lengths = torch.randn(2, FRAMES, WIDTH), torch.ones(2)
    norms = []
    for temperature in (10.0, 20.0):
        student = torch.randn(2, FRAMES, WIDTH).requires_grad_()
        torch.manual_seed(0)
        student.data = torch.randn(2, FRAMES, WIDTH)
        posterior_loss(student, teacher, lengths, temperature).backward()
        norms.append(student.grad.norm())
    assert norms[0] / norms[1] == pytest.approx(1.0, abs=0.05)


def test_blocks_are_heard_in_order_gated_or_not(make_asr):
    model = attach_adaptive_dropout(make_asr(), RetentionSchedule(steps=1))
    features, lengths = torch.randn(2, 9, 20), torch.tensor([1.0, 0.5])
    with block_outputs(model) as outputs:
        encoded = model.encode(features, lengths)
    last = model.encoder.norm(outputs[-1])
    assert len(outputs) == len(find_blocks(model)) == 2
    assert torch.equal(last, encoded)


def test_afterwards_nothing_listens(make_asr):
    model = make_asr()
    with pytest.raises(ZeroDivisionError), block_outputs(model) as outputs:
        1 / 0  # noqa: B018
    model.encode(torch.randn(1, 5, 20))
    assert outputs == []


def test_a_model_without_blocks_has_none():
    assert find_blocks(nn.Sequential(nn.Linear(2, 2))) == []
