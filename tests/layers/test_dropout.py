"""Quick dropout: the law, the gradient, and when it steps aside."""

import copy
import pickle

import pytest
import torch
from scipy import stats
from torch import nn
from torch.utils.checkpoint import checkpoint

from speechbrain_neuronprune import (
    PruningPlan,
    RetentionSchedule,
    adaptive_dropouts,
    attach_adaptive_dropout,
    compact,
)
from speechbrain_neuronprune.layers.dropout import (
    QuickDropout,
    draw_factors,
    use_quick_dropout,
)

MANY = 400_000


def quick(p):
    layer = nn.Dropout(p)
    use_quick_dropout(layer)
    return layer


@pytest.mark.parametrize("p", [0.01, 0.1, 0.25, 0.5, 0.9, 0.999])
def test_elements_are_dropped_with_the_given_probability(p):
    torch.manual_seed(0)
    factors = draw_factors(torch.Size([MANY]), p)
    dropped = int((factors == 0).sum())
    assert stats.binomtest(dropped, MANY, p).pvalue > 1e-3


@pytest.mark.parametrize("p", [1e-9, 0.1, 1 / 3, 0.5, 0.999999])
def test_the_expectation_is_exact(p):
    factors = draw_factors(torch.Size([MANY]), p)
    present = float(factors.max())
    assert set(factors.unique().tolist()) <= {0.0, present}
    # 16 bits: the probability is rounded, the scale is that of what is drawn
    levels = round((1.0 - 1.0 / present) * 2**16) if present else 2**16 - 1
    assert levels / 2**16 == pytest.approx(p, abs=2**-16)


def test_the_four_elements_of_a_number_are_independent():
    torch.manual_seed(1)
    dropped = (draw_factors(torch.Size([MANY]), 0.5) == 0).view(-1, 4)
    combinations = (dropped.long() * torch.tensor([1, 2, 4, 8])).sum(1)
    counts = combinations.bincount(minlength=16).numpy()
    assert stats.chisquare(counts).pvalue > 1e-3
    lagged = torch.corrcoef(
        torch.stack([dropped[:-1, 3].float(), dropped[1:, 0].float()])
    )
    assert abs(float(lagged[0, 1])) < 4 / len(dropped) ** 0.5


@pytest.mark.parametrize("shape", [(), (1,), (3,), (5, 7), (0,), (2, 0, 3)])
def test_any_shape(shape):
    assert quick(0.5)(torch.ones(shape)).shape == shape


def test_the_gradient_is_the_factor():
    x = torch.full((30, 40), 3.0, requires_grad=True)
    out = quick(0.3)(x)
    out.sum().backward()
    torch.testing.assert_close(x.grad, out.detach() / 3.0)
    assert (x.grad == 0).any() and (x.grad > 0).any()


def test_a_seed_gives_the_same_draws():
    layer, x = quick(0.5), torch.ones(1000)
    draws = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        draws.append(layer(x))
    assert draws[0].equal(draws[1]) and not draws[0].equal(draws[2])


def test_a_piece_that_is_computed_again_draws_the_same():
    layer = quick(0.5)
    gradients = []
    for again in (False, True):
        x = torch.ones(1000, requires_grad=True)
        torch.manual_seed(5)
        out = checkpoint(layer, x, use_reentrant=False) if again else layer(x)
        out.square().sum().backward()
        gradients.append(x.grad)
    assert gradients[0].equal(gradients[1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.double])
def test_the_type_stays(dtype):
    out = quick(0.5)(torch.ones(100, dtype=dtype))
    assert out.dtype == dtype and set(out.tolist()) == {0.0, 2.0}


def test_evaluation_and_certain_probabilities_draw_nothing():
    x = torch.ones(100)
    assert quick(0.5).eval()(x) is x
    assert quick(0.0)(x).equal(x)
    assert not quick(1.0)(x).any()


@pytest.mark.parametrize(
    "layer", [nn.Dropout(0.5, inplace=True), nn.Dropout1d(0.5), nn.Identity()]
)
def test_other_layers_stay_as_they_are(layer):
    kind = type(layer)
    use_quick_dropout(layer)
    assert type(layer) is kind


@pytest.mark.parametrize("again", [copy.deepcopy, pickle.dumps])
def test_it_is_copied_and_pickled(again):
    layer = again(quick(0.5))
    layer = pickle.loads(layer) if isinstance(layer, bytes) else layer
    assert type(layer) is QuickDropout and layer.p == 0.5


def test_vectorised_maps_say_whether_rows_share_a_draw():
    x = torch.ones(4, 200)
    drawn = torch.func.vmap(quick(0.5), randomness="different")(x)
    assert len(drawn.unique(dim=0)) == 4


def test_scripts_take_the_stock_one():
    model = nn.Sequential(nn.Linear(3, 3), quick(0.5)).eval()
    scripted, x = torch.jit.script(model), torch.randn(2, 3)
    torch.testing.assert_close(scripted(x), model(x))
    dropped = scripted.train()(torch.ones(99, 3)) == 0.0
    assert dropped.any() and not dropped.all()


def test_it_draws_on_the_cpu_whatever_the_default_is():
    x = torch.ones(100)
    with torch.device("meta"):
        assert quick(0.5)(x).device == x.device


def test_chains_go_through_it():
    model = nn.Sequential(
        nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.1), nn.Linear(4, 2)
    )
    attach_adaptive_dropout(model, RetentionSchedule(steps=3))
    assert list(adaptive_dropouts(model)) == ["0"]
    plan = PruningPlan({"0": torch.tensor([True, False, True, True])})
    assert compact(model, plan)[0].out_features == 3
