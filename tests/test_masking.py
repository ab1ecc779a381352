"""Masks for a while, masks for good, and means in place of zeros."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from speechbrain.lobes.models.transformer.Branchformer import (
    ConvolutionBranch,
)
from torch import nn

from speechbrain_neuronprune import (
    AdaptiveDropout,
    PruningPlan,
    RetentionSchedule,
    apply_masks,
    attach_adaptive_dropout,
    compact,
    find_units,
)
from speechbrain_neuronprune.errors import PlanError, UnitsError
from speechbrain_neuronprune.layers import get_gate
from speechbrain_neuronprune.masking import ablate, masked, mean_ablated
from speechbrain_neuronprune.units import linears_of
from tests.plans import randomize
from tests.test_compaction_conv import make_crdnn


def make_model(bias=True):
    return nn.Sequential(
        nn.Linear(4, 9),
        nn.Sigmoid(),
        nn.Linear(9, 6, bias=bias),
        nn.Tanh(),
        nn.Linear(6, 3),
    ).eval()


def make_branch():
    branch = ConvolutionBranch(5, 12, 3, use_linear_after_conv=True)
    randomize(branch)
    return nn.Sequential(branch).eval()


def make_plan(model, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return PruningPlan(
        {
            name: torch.rand(group.size, generator=generator) < 0.5
            for name, group in find_units(model).items()
        }
    )


def mean_inputs(model, x):
    """Mean input of every consumer, by plain hooks."""
    means, handles = {}, []
    for name, group in find_units(model).items():

        def record(stage, inputs, name=name):
            means[name] = inputs[0].flatten(0, -2).mean(0)

        consumer = linears_of(model, group)[1]
        handles.append(consumer.register_forward_pre_hook(record))
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    return means


# ------------------------------------------------------------- for a while


def test_masks_are_there_inside_and_gone_outside():
    model, x = make_model(), torch.randn(5, 4)
    plan, before = make_plan(model), model(x)
    expected = apply_masks(copy.deepcopy(model), plan)(x)
    with masked(model, plan) as inside:
        assert inside is model
        assert torch.equal(model(x), expected)
    assert torch.equal(model(x), before)
    assert not torch.equal(before, expected)


def test_gates_that_were_there_come_back(make_encoder):
    for model in (make_model(), make_encoder(num_layers=1)):
        attach_adaptive_dropout(model, RetentionSchedule())
        groups = find_units(model).values()
        before = [get_gate(model, group) for group in groups]
        keys = list(model.state_dict())
        with masked(model, make_plan(model)):
            assert not any(
                isinstance(get_gate(model, group), AdaptiveDropout)
                for group in groups
            )
        after = [get_gate(model, group) for group in groups]
        assert all(one is two for one, two in zip(before, after, strict=True))
        assert list(model.state_dict()) == keys


@pytest.mark.parametrize("attention", ["regularMHA", "RoPEMHA"])
def test_hooks_of_users_stay(make_encoder, attention):
    encoder = make_encoder(num_layers=1, attention_type=attention)
    watched = [
        "layers.0.ffn_module1.1.ffn",
        "layers.0.mha_layer",
        "layers.0.convolution_module.bottleneck",
        "layers.0.convolution_module.after_conv",
    ]
    seen = []
    handles = [
        encoder.get_submodule(name).register_forward_hook(
            lambda *_, name=name: seen.append(name)
        )
        for name in watched
    ]
    plan, x = make_plan(encoder), torch.randn(2, 9, 16)
    with masked(encoder, plan):
        encoder(x)
    encoder(x)
    assert seen == watched * 2
    for handle in handles:
        handle.remove()
    encoder(x)
    assert len(seen) == 2 * len(watched)


@pytest.mark.parametrize("kind", ["chain", "branch", "encoder"])
def test_what_is_new_stands_in_the_mode_of_the_model(kind, make_encoder):
    make = {"chain": make_model, "branch": make_branch, "encoder": make_encoder}
    model = make[kind]()
    for training in (False, True):
        model.train(training)
        for one in (compact(model, make_plan(model)), model):
            assert all(m.training == training for m in one.modules())
        with masked(model, make_plan(model)):
            assert all(m.training == training for m in model.modules())
        assert all(m.training == training for m in model.modules())


@pytest.mark.parametrize("way", ["masked", "mean_ablated"])
def test_an_exception_restores_as_well(way):
    model, x = make_model(), torch.randn(5, 4)
    plan, means, before = make_plan(model), mean_inputs(model, x), model(x)
    context = masked(model, plan)
    if way == "mean_ablated":
        context = mean_ablated(model, plan, means)
    with pytest.raises(KeyboardInterrupt), context:
        raise KeyboardInterrupt
    assert torch.equal(model(x), before)


def test_a_plan_of_another_model_changes_nothing():
    model, x = make_model(), torch.randn(5, 4)
    before = model(x)
    wrong = PruningPlan({"0": torch.zeros(9).bool(), "7": torch.ones(2).bool()})
    with pytest.raises(PlanError, match="group 7"), masked(model, wrong):
        pass
    assert torch.equal(model(x), before)


def test_masks_nest():
    model, x = make_model(), torch.randn(5, 4)
    outer, inner = make_plan(model, 1), make_plan(model, 2)
    with masked(model, outer):
        expected = model(x)
        with masked(model, inner):
            assert not torch.equal(model(x), expected)
        assert torch.equal(model(x), expected)


@pytest.mark.parametrize(
    "make, size",
    [(make_model, 4), (make_branch, 5), (make_crdnn, 8)],
    ids=["chain", "branch", "crdnn"],
)
def test_compiled_models_see_masks_come_and_go(make, size):
    model, x = make(), torch.randn(2, 9, size)
    compiled, before = torch.compile(model, backend="eager"), model(x)
    torch.testing.assert_close(compiled(x), before)
    for seed in range(2):
        with masked(model, make_plan(model, seed)):
            expected = model(x)
            torch.testing.assert_close(compiled(x), expected)
            assert not torch.allclose(expected, before)
        torch.testing.assert_close(compiled(x), before)


# ------------------------------------------------------------- for good


def test_without_means_it_is_masking():
    model, x = make_model(), torch.randn(5, 4)
    plan = make_plan(model)
    expected = apply_masks(copy.deepcopy(model), plan)(x)
    assert ablate(model, plan) is model
    assert torch.equal(model(x), expected)


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6))
def test_means_replace_the_removed_units(seed):
    """Oracle: the forward pass written out, with means in place of units."""
    torch.manual_seed(seed)
    model, x = make_model().double(), torch.randn(7, 4).double()
    plan, means = make_plan(model, seed), mean_inputs(model, x)
    h = x
    for name, stages in (("0", model[:2]), ("2", model[2:4])):
        h = torch.where(plan.keep[name], stages(h), means[name])
    expected = model[4](h)
    with mean_ablated(copy.deepcopy(model), plan, means) as inside:
        torch.testing.assert_close(inside(x), expected)
    ablate(model, plan, means)
    torch.testing.assert_close(model(x), expected)
    torch.testing.assert_close(compact(model, plan)(x), expected)


def test_a_constant_unit_is_ablated_exactly():
    """The mean of a unit that never varies is the unit."""
    model, x = make_model(), torch.randn(5, 4)
    with torch.no_grad():
        model[0].weight[3] = 0.0
    before = model(x)
    plan = PruningPlan({"0": torch.arange(9) != 3})
    ablate(model, plan, mean_inputs(model, x))
    torch.testing.assert_close(compact(model, plan)(x), before)


def test_biases_come_back_bitwise():
    model, x = make_model(), torch.randn(5, 4)
    before = copy.deepcopy(model.state_dict())
    bias = model[2].bias
    with mean_ablated(model, make_plan(model), mean_inputs(model, x)):
        assert not torch.equal(model[2].bias, before["2.bias"])
    assert model[2].bias is bias
    after = model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_feed_forward_modules_are_fully_connected(make_encoder):
    encoder, x = make_encoder(num_layers=1), torch.randn(2, 9, 16)
    module = encoder.layers[0].ffn_module1
    groups = find_units(module)
    name, group = next(iter(groups.items()))
    with torch.no_grad():
        linears_of(module, group)[0].weight.zero_()  # constant units
    before = module(x)
    hidden = module[1].ffn[:2](module[0](x)).flatten(0, 1).mean(0)
    plan = PruningPlan({name: torch.zeros(24).bool()})
    with mean_ablated(module, plan, {name: hidden}):
        torch.testing.assert_close(module(x), before)


# ------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "given_means, message",
    [
        (None, "group 2 are missing; give 6 finite"),
        (torch.zeros(3), r"group 2 are \[0.0, 0.0, 0.0\]; give 6"),
        (torch.full((6,), torch.nan), r"group 2 are \[nan, .* give 6"),
    ],
)
def test_means_that_do_not_fit_change_nothing(given_means, message):
    model, x = make_model(), torch.randn(5, 4)
    plan, before = make_plan(model), model(x)
    means = {"0": mean_inputs(model, x)["0"]}
    if given_means is not None:
        means["2"] = given_means
    with pytest.raises(PlanError, match=message):
        ablate(model, plan, means)
    assert torch.equal(model(x), before)


def test_a_layer_without_bias_is_named():
    model = make_model(bias=False)
    means = mean_inputs(model, torch.randn(5, 4))
    with pytest.raises(PlanError, match="follows group 0 has no bias"):
        ablate(model, make_plan(model), means)
    whole = PruningPlan({"0": torch.ones(9).bool()})
    assert ablate(model, whole, means) is model  # nothing to fold


def test_other_kinds_of_units_are_refused(make_encoder):
    encoder = make_encoder(num_layers=1)
    plan = PruningPlan({"layers.0.convolution_module": torch.zeros(16).bool()})
    with pytest.raises(UnitsError, match=r"kind conv.*\(fc, ffn\)"):
        ablate(encoder, plan, {})
    assert ablate(encoder, plan) is encoder
