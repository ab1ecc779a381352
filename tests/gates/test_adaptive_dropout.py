"""Law, gradient, evaluation and bookkeeping of adaptive dropout."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Bernoulli
from torch.utils.checkpoint import checkpoint

from speechbrain_neuronprune import AdaptiveDropout, RetentionSchedule
from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.gates.adaptive_dropout import logistic_noise


def gate_at(betas, **arguments) -> AdaptiveDropout:
    """A gate whose logits beta have the given values."""
    betas = torch.as_tensor(betas, dtype=torch.float32)
    schedule = RetentionSchedule(steps=10)
    schedule.advance(10)
    gate = AdaptiveDropout(*betas.shape, schedule=schedule, **arguments)
    with torch.no_grad():
        gate.logits.copy_((betas - schedule.c()) / gate.scale)
    return gate


def test_samples_follow_the_bernoulli_law():
    betas = torch.tensor([-4.0, -2.0, -0.5, 0.0, 1.0, 3.0, 10.0])
    gate = gate_at(betas)
    draws = 200_000
    mean = gate.mask(draws).mean(0)
    law = Bernoulli(logits=betas)
    deviation = (law.variance / draws).sqrt()
    assert torch.all((mean - law.mean).abs() <= 5 * deviation + 1e-9)


def test_samples_are_zeros_and_ones_and_not_rescaled():
    values = gate_at([-1.0, 0.0, 1.0]).mask(1000).unique()
    assert torch.equal(values, torch.tensor([0.0, 1.0]))


def test_noise_is_logistic():
    noise = logistic_noise(200_000)
    assert torch.isfinite(noise).all()
    for point in (-3.0, -1.0, 0.0, 2.0):
        share = (noise < point).float().mean()
        assert share == pytest.approx(
            torch.sigmoid(torch.tensor(point)).item(), abs=5e-3
        )


def test_hard_gumbel_softmax_is_the_same_law():
    beta = torch.tensor(0.7)
    logits = torch.stack([beta, torch.tensor(0.0)]).expand(100_000, 2)
    theirs = F.gumbel_softmax(logits, tau=1.0, hard=True)[:, 0].mean()
    ours = gate_at([0.7]).mask(100_000).mean()
    assert ours.item() == pytest.approx(theirs.item(), abs=0.01)


@given(st.floats(-8, 8), st.integers(0, 10**6))
def test_backward_is_the_sigmoid_with_the_same_noise(beta, seed):
    gate = gate_at([beta] * 4)
    weights = torch.randn(3, 5, 4)
    torch.manual_seed(seed)
    (gate(weights)).sum().backward()
    torch.manual_seed(seed)
    noisy = gate.beta().detach() + logistic_noise(3, 4)
    soft = torch.sigmoid(noisy)
    slope = soft * (1 - soft)
    expected = gate.scale * (slope * weights.sum(1)).sum(0)
    torch.testing.assert_close(gate.logits.grad, expected, rtol=1e-4, atol=1e-5)


def test_the_input_gets_the_gradient_of_a_hard_mask():
    gate = gate_at([0.0, 0.0, 0.0])
    x = torch.randn(4, 6, 3, requires_grad=True)
    out = gate(x)
    out.sum().backward()
    mask = (out / x).detach().round()
    assert torch.equal(x.grad, mask)


def test_one_draw_per_utterance_shared_over_time():
    out = gate_at([0.0] * 64)(torch.ones(8, 50, 64))
    assert torch.equal(out, out[:, :1].expand_as(out))
    assert not torch.equal(out[0], out[1])


def test_batch_dim_follows_the_layout():
    gate = gate_at([0.0] * 64, batch_dim=1)
    out = gate(torch.ones(50, 8, 64))
    assert torch.equal(out, out[:1].expand_as(out))
    assert not torch.equal(out[:, 0], out[:, 1])


def test_evaluation_takes_the_hard_decision_at_c_end():
    gate = gate_at([-2.1, -2.0, -1.9, 5.0]).eval()
    assert gate.keep().tolist() == [False, True, True, True]
    out = gate(torch.ones(3, 2, 4))
    assert torch.equal(out, gate.keep().float().expand(3, 2, 4))


def test_everything_is_open_at_the_start():
    gate = AdaptiveDropout(1000, schedule=RetentionSchedule())
    assert gate.retention().min() > 0.9999
    assert gate.keep().all()


def test_units_drift_with_the_centre():
    schedule = RetentionSchedule(10.0, -2.0, steps=100)
    gate = AdaptiveDropout(5, schedule=schedule)
    schedule.advance(50)
    assert torch.allclose(gate.beta(), torch.full((5,), 4.0))


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=6))
def test_the_penalty_is_equation_5_and_so_is_its_gradient(betas):
    alpha, gamma = 1e-7, 1e-5
    gate = gate_at(betas, scale=(gamma / alpha) ** 0.5)
    beta = gate.beta().detach().requires_grad_()
    direct = alpha * (beta - gate.schedule.c()).square().sum()
    direct.backward()
    penalty = gate.penalty(gamma)
    penalty.backward()
    assert penalty.item() == pytest.approx(direct.item(), rel=1e-3, abs=1e-9)
    # chain rule: d/d beta' = scale * d/d beta
    torch.testing.assert_close(
        gate.logits.grad, gate.scale * beta.grad, rtol=1e-3, atol=1e-8
    )


def test_coupled_weight_decay_is_the_penalty():
    gamma = 1e-3
    betas = [3.0, -5.0]
    by_loss, by_decay = gate_at(betas), gate_at(betas)
    by_loss.penalty(gamma).backward()
    by_decay.logits.grad = torch.zeros(2)
    one = torch.optim.SGD([by_loss.logits], lr=0.1)
    two = torch.optim.SGD([by_decay.logits], lr=0.1, weight_decay=2 * gamma)
    one.step()
    two.step()
    torch.testing.assert_close(by_loss.logits, by_decay.logits)


def test_seed_determines_the_draw():
    gate = gate_at([0.0] * 32)
    torch.manual_seed(7)
    first = gate.mask(4)
    torch.manual_seed(7)
    assert torch.equal(first, gate.mask(4))


def test_autocast_keeps_the_logits_in_float32():
    gate = gate_at([0.0] * 8)
    x = torch.randn(2, 3, 8, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = gate(x)
        assert gate.beta().dtype == torch.float32
    assert out.dtype == torch.bfloat16
    out.float().sum().backward()
    assert gate.logits.grad.dtype == torch.float32


def outcome(call, gate, x):
    """What a call returns for a seed, and its gradients."""
    x = x.clone().requires_grad_()
    gate.logits.grad = None
    torch.manual_seed(3)
    out = call(x)
    out.square().sum().backward()
    return out.detach(), x.grad, gate.logits.grad


def test_compile_leaves_no_graph_break():
    gate = gate_at([0.0] * 8)
    compiled = torch.compile(gate, fullgraph=True, backend="aot_eager")
    x = torch.randn(2, 3, 8)
    expected = outcome(gate, gate, x)
    torch.testing.assert_close(outcome(compiled, gate, x), expected)
    gate.schedule.advance()  # no recompilation needed for a new c(t)
    assert compiled(x).shape == x.shape
    gate.settle(torch.ones(8, dtype=torch.bool))
    assert torch.equal(compiled(x), x)


@pytest.mark.parametrize("reentrant", [False, True])
def test_recomputation_meets_the_same_draws(reentrant):
    gate = gate_at([0.0] * 8)
    x = torch.randn(2, 3, 8)

    def again(x):
        return checkpoint(
            torch.nn.Sequential(gate, gate), x, use_reentrant=reentrant
        )

    expected = outcome(torch.nn.Sequential(gate, gate), gate, x)
    torch.testing.assert_close(outcome(again, gate, x), expected)


def test_a_layer_called_twice_draws_twice():
    gate, x = gate_at([0.0] * 64), torch.ones(4, 3, 64)
    assert not torch.equal(gate(x), gate(x))
    assert not torch.equal(gate.mask(4), gate.mask(4))


def test_an_open_unit_hears_from_the_loss():
    gate = AdaptiveDropout(1000, schedule=RetentionSchedule())
    gate(torch.ones(8, 3, 1000)).sum().backward()
    assert (gate.logits.grad > 0).all()


def test_logits_and_step_go_through_a_checkpoint():
    gate = gate_at([1.0, 2.0])
    fresh = AdaptiveDropout(2, schedule=RetentionSchedule(steps=10))
    fresh.load_state_dict(gate.state_dict())
    assert torch.equal(fresh.beta(), gate.beta())
    assert fresh.schedule.step == 10


def test_deepcopy_is_independent():
    gate = gate_at([0.0, 0.0])
    twin = copy.deepcopy(gate)
    gate.schedule.step = 0
    assert twin.schedule.step == 10


def test_settled_units_are_certain_and_learn_no_more():
    gate = gate_at([3.0, -1.0, 5.0, -8.0])
    keep = torch.tensor([True, True, False, False])
    gate.settle(keep)
    assert torch.equal(gate.mask(500), keep.float().unsqueeze(0))
    assert not gate.logits.requires_grad
    assert torch.equal(gate.eval().keep(), keep)
    order = gate.beta().argsort(descending=True).tolist()
    assert order == [0, 1, 2, 3]


@given(st.lists(st.booleans(), min_size=1, max_size=6))
def test_a_settled_gate_draws_nothing_and_computes_the_same(keep):
    gate, x = gate_at([0.5] * len(keep)), torch.randn(3, 5, len(keep))
    gate.settle(torch.tensor(keep))
    before = torch.get_rng_state()
    settled = gate(x)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(settled, gate.eval()(x))
    gate.train().logits.requires_grad_()  # whoever wants to go on learning
    assert torch.equal(gate(x), settled)
    assert not torch.equal(torch.get_rng_state(), before)


def test_a_settled_gate_that_keeps_everything_does_nothing():
    gate, x = gate_at([0.5] * 4), torch.randn(3, 5, 4)
    gate.settle(torch.ones(4, dtype=torch.bool))
    assert gate(x) is x


def test_a_checkpoint_tells_what_is_settled_and_what_is_not():
    keep = torch.tensor([True, False, True])
    settled, open_ = gate_at([0.5] * 3), gate_at([0.5] * 3)
    settled.settle(keep)
    fresh = gate_at([0.5] * 3)
    assert fresh.state_dict().keys() == settled.state_dict().keys()
    fresh.load_state_dict(settled.state_dict())
    fresh.logits.requires_grad_(False)
    assert not fresh.draws
    assert torch.equal(fresh.mask(2), keep.float().unsqueeze(0))
    fresh.load_state_dict(open_.state_dict())
    assert fresh.draws


def test_logits_that_a_steered_schedule_has_led_away_are_not_settled():
    gate, fresh = gate_at([0.5] * 3), gate_at([0.5] * 3)
    with torch.no_grad():
        gate.logits.copy_(torch.tensor([55.0, 70.0, 90.0]) / gate.scale)
    gate.schedule.lead(-70.0, 2)
    fresh.load_state_dict(gate.state_dict())
    for one in (gate, fresh):
        assert not one.settled and not one.is_decided


def test_a_settled_gate_is_copied_pickled_and_cast(tmp_path):
    gate, x = gate_at([0.5] * 3), torch.randn(2, 5, 3)
    gate.settle(torch.tensor([True, False, True]))
    torch.save(gate, tmp_path / "gate.pt")
    loaded = torch.load(tmp_path / "gate.pt", weights_only=False)
    for twin in (copy.deepcopy(gate), loaded):
        assert torch.equal(twin(x), gate(x))
    half = copy.deepcopy(gate).bfloat16()
    assert half.mask(2).dtype == torch.float32
    assert half(x.bfloat16()).dtype == torch.bfloat16


def test_settled_logits_are_not_moved_by_what_an_optimizer_remembers():
    gate = gate_at([3.0, -1.0])
    optimizer = torch.optim.Adam([gate.logits], lr=0.1)
    gate.train()(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    assert not gate.settled
    gate.settle(torch.tensor([True, False]))
    settled = gate.logits.clone()
    optimizer.zero_grad(set_to_none=False)
    optimizer.step()
    assert gate.settled
    assert torch.equal(gate.logits, settled)


def test_an_averaged_copy_follows_a_gate_that_settles():
    gate = AdaptiveDropout(4, schedule=RetentionSchedule(steps=5))
    average = torch.optim.swa_utils.AveragedModel(gate)
    gate.settle(torch.tensor([True, False, True, True]))
    average.update_parameters(gate)
    assert average.module.keep().equal(gate.keep())


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_a_scale_that_holds_no_logits_up_is_refused(scale):
    with pytest.raises(TrainingError, match=f"scale={scale}"):
        AdaptiveDropout(3, scale=scale)
