"""The losses of test-time adaptation against torch and plain loops.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch
from torch.distributions import Categorical

from speechbrain_neuronprune.adaptation.entropy import (
    class_confusion_loss,
    entropy_loss,
    suta_loss,
)

LENGTHS = torch.tensor([0.5, 1.0, 0.8])
ENDS = [5, 10, 8]


@pytest.fixture
def log_probs():
    """(3, 10, 6), some frames blank (class 2), padding included."""
    logits = 3.0 * torch.randn(3, 10, 6)
    logits[:, ::3, 2] += 9.0
    return logits.log_softmax(-1)


def frames(log_probs):
    """The valid frames, one by one."""
    for utterance, end in zip(log_probs, ENDS, strict=True):
        yield from utterance[:end]


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_entropy_is_that_of_the_spoken_frames(log_probs, temperature):
    spoken = [frame for frame in frames(log_probs) if frame.argmax() != 2]
    assert 0 < len(spoken) < sum(ENDS)
    logits = torch.stack(spoken).double() / temperature
    expected = Categorical(logits=logits).entropy().mean()
    loss = entropy_loss(log_probs, LENGTHS, 2, temperature)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=0.0)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_confusion_is_what_lies_off_the_diagonal(log_probs, temperature):
    """Against the matrix, made and normalised."""
    logits = torch.stack(list(frames(log_probs))).double() / temperature
    probs = logits.softmax(-1)
    matrix = probs.T @ probs
    matrix = matrix / matrix.sum(dim=1, keepdim=True)
    expected = (matrix.sum() - matrix.trace()) / len(matrix)
    loss = class_confusion_loss(log_probs, LENGTHS, temperature)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=0.0)


def test_the_combination(log_probs):
    loss = suta_loss(log_probs, LENGTHS, 2, temperature=2.0, weight=0.25)
    entropy = entropy_loss(log_probs, LENGTHS, 2, 2.0)
    confusion = class_confusion_loss(log_probs, LENGTHS, 2.0)
    torch.testing.assert_close(loss, 0.25 * entropy + 0.75 * confusion)


def test_padding_neither_counts_nor_learns(log_probs):
    for index, end in enumerate(ENDS):
        log_probs[index, end:] = float("nan")
    log_probs.requires_grad_()
    loss = suta_loss(log_probs, LENGTHS, blank_index=2)
    loss.backward()
    assert loss.isfinite() and log_probs.grad.isfinite().all()
    for index, end in enumerate(ENDS):
        assert not log_probs.grad[index, end:].any()


def test_probabilities_of_zero_do_no_harm():
    probs = torch.tensor([[[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]]])
    log_probs = probs.log().requires_grad_()
    entropy = entropy_loss(log_probs, torch.ones(1), 2, temperature=1.0)
    confusion = class_confusion_loss(log_probs, torch.ones(1), temperature=1.0)
    assert entropy.item() == pytest.approx(0.5 * torch.tensor(2.0).log().item())
    (entropy + confusion).backward()
    assert log_probs.grad.isfinite().all()


def test_nothing_but_blanks_has_no_entropy():
    log_probs = torch.tensor([[[9.0, 0.0]] * 4]).log_softmax(-1)
    log_probs.requires_grad_()
    loss = entropy_loss(log_probs, torch.ones(1), blank_index=0)
    loss.backward()
    assert loss == 0.0 and not log_probs.grad.any()


def test_a_step_makes_the_model_more_certain(log_probs):
    logits = log_probs.clone().requires_grad_()
    before = suta_loss(logits, LENGTHS, 2)
    (gradient,) = torch.autograd.grad(before, logits)
    assert suta_loss(logits - 0.1 * gradient, LENGTHS, 2) < before


def test_it_computes_in_float32(log_probs):
    half = log_probs.bfloat16()
    assert suta_loss(half, LENGTHS, 2).dtype == torch.float32
    expected = suta_loss(half.float(), LENGTHS, 2)
    assert torch.equal(suta_loss(half, LENGTHS, 2), expected)
