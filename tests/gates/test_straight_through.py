"""The straight-through step against the formula that it stands for."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.gates.straight_through import StraightThrough

SCALE, CENTRE = 10.0, torch.tensor(0.5)
SHAPES = [  # of what is multiplied, and of the noise
    ((7, 3, 5), (1, 3, 5)),
    ((3, 7, 5), (3, 1, 5)),
    ((3, 7, 5), (1, 1, 5)),
    ((2, 4, 3, 5), (2, 1, 3, 5)),
    ((3, 5), (3, 5)),
    ((5,), (5,)),
]


def ours(logits, noise, x=None):
    return StraightThrough.apply(logits, SCALE, CENTRE, noise, x)


def formula(logits, noise, x=None):
    noisy = SCALE * logits + CENTRE + noise
    soft = torch.sigmoid(noisy)
    mask = (noisy > 0).float() + (soft - soft.detach())
    return mask if x is None else x * mask.to(x.dtype)


def drawn(shapes=SHAPES[0], seed=0):
    """Logits, noise, and what is multiplied."""
    generator = torch.Generator().manual_seed(seed)
    x, noise = (torch.randn(shape, generator=generator) for shape in shapes)
    return 0.3 * torch.randn(shapes[0][-1:], generator=generator), 3 * noise, x


def outcome(function, logits, noise, x=None):
    """The output, and the gradients by a loss with curvature."""
    inputs = [logits] if x is None else [logits, x]
    inputs = [one.clone().requires_grad_() for one in inputs]
    out = function(inputs[0], noise, *inputs[1:])
    (out.float() ** 2 + 3.0 * out.float()).sum().backward()
    return out.detach(), *[one.grad for one in inputs]


@given(st.sampled_from(SHAPES), st.booleans(), st.integers(0, 10**6))
def test_it_is_the_formula_and_so_are_its_gradients(shapes, alone, seed):
    inputs = drawn(shapes, seed)[: 2 if alone else 3]
    torch.testing.assert_close(
        outcome(ours, *inputs), outcome(formula, *inputs), rtol=1e-4, atol=1e-4
    )


def test_half_precision_has_logits_in_float32():
    logits, noise, x = drawn()
    inputs = logits, noise, x.bfloat16()
    found = outcome(ours, *inputs)
    kinds = [one.dtype for one in found]
    assert kinds == [torch.bfloat16, torch.float32, torch.bfloat16]
    torch.testing.assert_close(
        found, outcome(formula, *inputs), rtol=1e-4, atol=1e-4
    )


def test_logits_in_half_precision_get_gradients_of_their_type():
    logits, noise, x = drawn()
    logits = logits.bfloat16().requires_grad_()
    ours(logits, noise, x).sum().backward()
    assert logits.grad.dtype == torch.bfloat16


def test_the_input_need_not_learn():
    logits, noise, x = drawn()
    ours(logits.requires_grad_(), noise, x).sum().backward()
    expected = torch.autograd.grad(formula(logits, noise, x).sum(), logits)
    torch.testing.assert_close((logits.grad,), expected)


@pytest.mark.parametrize("count", [2, 3])
def test_second_derivatives_are_refused(count):
    logits, *others = drawn()[:count]
    out = ours(logits.requires_grad_(), *others).sum()
    with pytest.raises(TrainingError, match="create_graph"):
        torch.autograd.grad(out, logits, create_graph=True)


class Operators(TorchDispatchMode):
    """Collects what operators make; views are no work."""

    def __init__(self):
        super().__init__()
        self.made = []

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        out = operator(*args, **(kwargs or {}))
        if not operator.is_view:
            self.made.append(out)
        return out


def operators_of(function, count=3):
    """What operators make in a forward, and in a backward pass."""
    logits, noise, *x = drawn()[:count]
    inputs = [one.requires_grad_() for one in (logits, *x)]
    with Operators() as forward:
        out = function(logits, noise, *x)
    given = torch.ones_like(out)
    with Operators() as backward:
        torch.autograd.grad(out, inputs, given)
    return forward.made, backward.made


@pytest.mark.parametrize("count, few, many", [(2, 9, 11), (3, 12, 15)])
def test_it_runs_fewer_operators(count, few, many):
    found, expected = (
        sum(map(len, operators_of(function, count)))
        for function in (ours, formula)
    )
    assert (found, expected) == (few, many)


def test_the_backward_pass_makes_one_tensor_of_the_inputs_size():
    found, expected = (
        {t.data_ptr() for t in operators_of(f)[1] if t.shape == SHAPES[0][0]}
        for f in (ours, formula)
    )
    assert (len(found), len(expected)) == (1, 2)
