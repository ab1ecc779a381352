"""Chains of Linear layers: gates that leave no trace, and the narrow form."""

import copy
import io

import pytest
import torch
import torch_pruning
from speechbrain.nnet.normalization import BatchNorm1d, LayerNorm
from torch import nn

from speechbrain_neuronprune import (
    AdaptiveDropout,
    PruningPlan,
    RetentionSchedule,
    adaptive_dropouts,
    apply_masks,
    attach_adaptive_dropout,
    compact,
    find_units,
)
from speechbrain_neuronprune.compaction import remove_gates
from speechbrain_neuronprune.errors import PlanError
from speechbrain_neuronprune.gates.gate import FixedMask
from speechbrain_neuronprune.layers import get_gate, set_gate
from speechbrain_neuronprune.layers.normalization import PartialLayerNorm

KEEP = torch.arange(12) % 3 != 1


def make_model():
    """Two hidden layers; the first with norms on both sides of the
    activation, so its mask acts at three places."""
    return nn.Sequential(
        nn.Linear(5, 12),
        LayerNorm(input_size=12),
        nn.GELU(),
        nn.LayerNorm(12),
        nn.Linear(12, 6),
        nn.Sigmoid(),
        nn.Linear(6, 3),
    ).eval()


def make_plan():
    return PruningPlan({"0": KEEP, "4": torch.arange(6) > 1})


def gated(model, c=0.0):
    """Adaptive dropout whose retention is sigmoid(c) everywhere."""
    return attach_adaptive_dropout(model, RetentionSchedule(c, c, steps=1))


# ------------------------------------------------------------- gates


def test_the_mask_acts_before_norms_and_before_the_next_linear():
    model, x = make_model(), torch.randn(2, 7, 5)
    mask = KEEP.float()
    h = model[1](model[0](x) * mask)
    h = model[3](model[2](h) * mask)
    expected = model[4:](h * mask)
    out = apply_masks(model, PruningPlan({"0": KEEP}))(x)
    torch.testing.assert_close(out, expected)


@pytest.mark.parametrize("shape", [(6, 5), (6, 7, 5), (6, 2, 3, 5)])
def test_one_draw_per_utterance_serves_all_places(shape, monkeypatch):
    model = gated(make_model()).train()
    drawn = []
    draw = AdaptiveDropout.mask

    def record(self, batch_size):
        drawn.append(draw(self, batch_size))
        return drawn[-1]

    monkeypatch.setattr(AdaptiveDropout, "mask", record)
    x = torch.randn(shape)
    out = model(x)
    assert [mask.shape for mask in drawn] == [(6, 12), (6, 6)]
    assert not torch.equal(drawn[0][0], drawn[0][1])
    first, second = (
        mask.view(6, *[1] * (len(shape) - 2), -1) for mask in drawn
    )
    h = model[1].norm.forward(model[0](x) * first)
    h = nn.functional.gelu(h) * first
    h = nn.functional.layer_norm(h, (12,), model[3].weight, model[3].bias)
    h = nn.functional.linear(h * first, model[4].weight, model[4].bias)
    h = nn.functional.linear(
        h.sigmoid() * second, model[6].weight, model[6].bias
    )
    torch.testing.assert_close(out, h)


def test_a_single_vector_passes_too():
    model, x = make_model(), torch.randn(5)
    out = apply_masks(model, make_plan())(x)
    torch.testing.assert_close(out, model(x.unsqueeze(0))[0])


def test_logits_learn_in_every_chain():
    model = gated(make_model()).train()
    model(torch.randn(4, 7, 5)).square().sum().backward()
    for gate in adaptive_dropouts(model).values():
        assert gate.logits.grad.abs().sum() > 0


def test_a_forward_pass_that_failed_leaves_no_draw_behind():
    model = gated(make_model()).train()
    handle = model[2].register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model(torch.randn(4, 5))
    handle.remove()
    assert model(torch.randn(2, 5)).shape == (2, 3)


def test_keys_are_those_of_the_stock_model():
    model = make_model()
    keys = list(model.state_dict())
    apply_masks(model, make_plan())
    assert list(model.state_dict()) == keys
    gated(model)
    assert set(keys) < set(model.state_dict())


def test_a_stock_checkpoint_loads_with_gates_and_without():
    stock = make_model().state_dict()
    model, x = gated(make_model(), c=10.0).eval(), torch.randn(2, 5)
    model.load_state_dict(stock)
    reference = make_model()
    reference.load_state_dict(stock)
    torch.testing.assert_close(model(x), reference(x))
    remove_gates(model).load_state_dict(stock)
    assert torch.equal(model(x), reference(x))


def test_a_gated_checkpoint_brings_its_logits():
    first, second = gated(make_model()), gated(make_model())
    nn.init.normal_(adaptive_dropouts(first)["0"].logits)
    second.load_state_dict(first.state_dict())
    assert torch.equal(
        adaptive_dropouts(first)["0"].logits,
        adaptive_dropouts(second)["0"].logits,
    )


def test_removing_gates_leaves_nothing():
    model, x = make_model(), torch.randn(2, 5)
    before = model(x)
    gated(model)
    apply_masks(model, make_plan())
    remove_gates(model)
    assert torch.equal(model(x), before)
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert not any("gate" in name for name, _ in model.named_modules())


def test_setting_a_gate_replaces_the_one_before():
    model = make_model()
    group = find_units(model)["0"]
    set_gate(model, group, FixedMask(~KEEP))
    gate = FixedMask(KEEP)
    set_gate(model, group, gate)
    assert get_gate(model, group) is gate
    reference = apply_masks(make_model(), PruningPlan({"0": KEEP}))
    reference.load_state_dict(model.state_dict())
    x = torch.randn(2, 5)
    torch.testing.assert_close(model(x), reference(x))


def pickled(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, pickled])
def test_copies_are_independent(duplicate):
    model, x = apply_masks(make_model(), make_plan()), torch.randn(2, 5)
    masked = model(x)
    twin = duplicate(model)
    assert torch.equal(twin(x), masked)
    remove_gates(twin)
    assert torch.equal(model(x), masked)
    assert not torch.equal(twin(x), masked)
    assert not any(module._forward_pre_hooks for module in twin.modules())


# ------------------------------------------------------------- narrowing


def test_torch_pruning_agrees():
    model = nn.Sequential(
        nn.Linear(5, 12),
        nn.BatchNorm1d(12),
        nn.ReLU(),
        nn.Linear(12, 6),
        nn.ReLU(),
        nn.Linear(6, 3),
    )
    model(torch.randn(50, 5))  # running statistics
    model, x = model.eval(), torch.randn(9, 5)
    ours = compact(model, PruningPlan({"0": KEEP}))
    graph = torch_pruning.DependencyGraph().build_dependency(model, x)
    graph.get_pruning_group(
        model[0],
        torch_pruning.prune_linear_out_channels,
        idxs=(~KEEP).nonzero().flatten().tolist(),
    ).prune()
    theirs = model.state_dict()
    assert list(ours.state_dict()) == list(theirs)
    for name, values in ours.state_dict().items():
        assert torch.equal(values, theirs[name]), name
    torch.testing.assert_close(ours(x), model(x))


def test_sizes_are_those_of_the_weights():
    model = nn.Sequential(
        nn.Linear(5, 12),
        BatchNorm1d(input_size=12),
        nn.PReLU(12),
        nn.LayerNorm(12),
        nn.Linear(12, 3),
    )
    model[0].bias.requires_grad_(False)
    model[3].weight.requires_grad_(False)
    small = compact(model, PruningPlan({"0": KEEP}))
    kept = int(KEEP.sum())
    assert small[0].out_features == small[4].in_features == kept
    assert small[1].norm.num_features == small[2].num_parameters == kept
    assert isinstance(small[3], PartialLayerNorm)
    shapes = {name: tuple(p.shape) for name, p in small.named_parameters()}
    assert shapes.pop("0.weight") == (kept, 5)
    assert shapes.pop("4.weight") == (3, kept)
    assert shapes.pop("4.bias") == (3,)
    assert set(shapes.values()) == {(kept,)}
    assert list(small.state_dict()) == list(model.state_dict())
    frozen = [n for n, p in small.named_parameters() if not p.requires_grad]
    assert frozen == ["0.bias", "3.weight"]


def test_the_narrow_model_can_be_masked_and_narrowed_again():
    small = compact(make_model(), make_plan())
    assert [g.size for g in find_units(small).values()] == [8, 4]
    plan = PruningPlan({"0": torch.arange(8) % 2 == 0})
    masked = apply_masks(copy.deepcopy(small), plan)
    smaller, x = compact(small, plan), torch.randn(2, 7, 5)
    torch.testing.assert_close(smaller(x), masked(x))
    assert smaller[1].norm.channels == smaller[3].channels == 12


def test_an_emptied_group_leaves_the_bias_of_the_next_linear():
    model = nn.Sequential(
        nn.Linear(5, 12),
        BatchNorm1d(input_size=12),
        nn.PReLU(),
        LayerNorm(input_size=12),
        nn.Linear(12, 3),
    )
    small = compact(model, PruningPlan({"0": torch.zeros(12).bool()}))
    for mode in (True, False):
        out = small.train(mode)(torch.randn(2, 7, 5))
        torch.testing.assert_close(out, model[4].bias.expand(2, 7, 3))
    assert find_units(small) == {}


def test_a_parametrized_weight_is_refused():
    model = make_model()
    nn.utils.parametrizations.weight_norm(model[0])
    assert find_units(model)["0"].size == 12
    with pytest.raises(PlanError, match=r"0\.weight of a Sequential .* cut"):
        compact(model, make_plan())


def test_an_empty_batch_passes_too():
    model = gated(make_model()).train()
    assert model(torch.randn(0, 7, 5)).shape == (0, 7, 3)
