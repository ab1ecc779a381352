"""Shrinking in training: what is left goes on as if the rest were closed."""

import copy
import pickle

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from speechbrain.lobes.models.CRDNN import CRDNN
from speechbrain.lobes.models.transformer.Conformer import ConformerEncoder
from speechbrain.nnet.attention import RelPosEncXL
from torch import nn

from speechbrain_neuronprune import (
    PruningPlan,
    RetentionSchedule,
    adaptive_dropouts,
    apply_masks,
    attach_adaptive_dropout,
    compact,
    find_units,
    steer_size,
)
from speechbrain_neuronprune.compaction import remove_gates
from speechbrain_neuronprune.errors import PlanError, TrainingError
from speechbrain_neuronprune.settling import settle
from speechbrain_neuronprune.shrinking import (
    grow,
    remaining,
    schedule_of,
    shrink,
    unsealed,
    whole_form,
)
from speechbrain_neuronprune.units import count_parameters
from tests.plans import PLANS, make_plan, randomize

ATTENTION = ("RelPosMHAXL", "RoPEMHA", "regularMHA")
OPTIMIZERS = {
    "adam": lambda p: torch.optim.Adam(p, 0.01, eps=1e-3, weight_decay=0.01),
    "amsgrad": lambda p: torch.optim.AdamW(p, 0.01, eps=1e-3, amsgrad=True),
    "momentum": lambda p: torch.optim.SGD(p, 0.01, momentum=0.9),
}


def build(attention="RelPosMHAXL", seed=0):
    """A gated encoder in double precision, all of whose units are open."""
    torch.manual_seed(seed)
    encoder = ConformerEncoder(
        2, 16, 12, 2, kernel_size=3, attention_type=attention
    )
    randomize(encoder)
    schedule = RetentionSchedule(c_start=0.0, c_end=-2.0)
    return attach_adaptive_dropout(encoder, schedule).eval().double()


def gates_and_weights(model):
    """The parameters in two groups, those of the gates last."""
    gates = [gate.logits for gate in adaptive_dropouts(model).values()]
    ours = {id(p) for p in gates}
    rest = [p for p in model.parameters() if id(p) not in ours]
    return [{"params": rest}, {"params": gates, "weight_decay": 0.0}]


def forward(model, x):
    positions = None
    if model.attention_type == "RelPosMHAXL":
        positions = RelPosEncXL(x.shape[-1])(x.float()).to(x.dtype)
    return model(x, pos_embs=positions)[0]


def step(model, optimizer, seed):
    """A step without randomness: evaluation mode, a penalty for the logits."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 7, 16, generator=generator, dtype=torch.float64)
    out = forward(model, x)
    loss = out.square().mean() + out[:, 0].sum() * 0.1
    for gate in adaptive_dropouts(model).values():
        loss = loss + (gate.logits - 0.1).square().sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def close(model, plan):
    """Close the removed units for good, and leave the others."""
    with torch.no_grad():
        for name, gate in adaptive_dropouts(model).items():
            gate.logits[~plan.keep[name]] -= 10.0


def same(one, two, tolerance=1e-6):
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(
            value, two[name], rtol=0, atol=tolerance, msg=name
        )


def trained(style="random", optimizer="adam", steps=1, **options):
    """A model that has learned a little, its optimiser, and a plan for it."""
    model = build(**options)
    adam = OPTIMIZERS[optimizer](gates_and_weights(model))
    for number in range(steps):
        step(model, adam, number)
    return model, adam, make_plan(model, style)


def resumed(model, adam, attention="RelPosMHAXL", optimizer="adam"):
    """What a new process makes of the state dicts, as files hold them."""
    fresh = build(attention, seed=99)
    other = OPTIMIZERS[optimizer](gates_and_weights(fresh))
    fresh.load_state_dict(copy.deepcopy(model.state_dict()))
    other.load_state_dict(copy.deepcopy(adam.state_dict()))
    return fresh, other


@settings(max_examples=5, phases=[Phase.explicit, Phase.generate])
@given(
    attention=st.sampled_from(ATTENTION),
    style=st.sampled_from(PLANS),
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    seed=st.integers(0, 1000),
)
def test_what_is_left_trains_as_if_the_rest_were_closed(
    attention, style, optimizer, seed
):
    model, adam, _ = trained(
        optimizer=optimizer, attention=attention, seed=seed
    )
    plan = make_plan(model, style, seed)
    masked, other = resumed(model, adam, attention, optimizer)
    close(masked, plan)
    shrink(model, plan, [adam])
    for number in (1, 2, 3):
        step(masked, other, number)
        step(model, adam, number)
    same(
        compact(model, PruningPlan({})).state_dict(),
        compact(masked, plan).state_dict(),
    )


def test_the_parameters_and_moments_of_removed_units_are_gone():
    model, adam, plan = trained()
    dense = sum(p.numel() for p in model.parameters())
    sizes = shrink(model, plan, [adam])
    assert sizes.after == count_parameters(compact(model, PruningPlan({})))
    assert sizes.after < 0.75 * sizes.before < dense
    held = [p for group in adam.param_groups for p in group["params"]]
    assert {id(p) for p in held} == {id(p) for p in model.parameters()}
    for parameter in held:
        assert adam.state[parameter]["exp_avg"].shape == parameter.shape
    assert len(adam.state) == len(held)


def test_gates_keep_the_logits_of_the_units_that_stay():
    model, adam, plan = trained()
    before = {n: g.beta().detach() for n, g in adaptive_dropouts(model).items()}
    shrink(model, plan, [adam])
    for name, gate in adaptive_dropouts(model).items():
        assert torch.equal(gate.beta().detach(), before[name][plan.keep[name]])
        assert gate.size == int(plan.keep[name].sum())


def test_a_second_shrink_composes_with_the_first():
    model, adam, _ = trained()
    first, second = make_plan(model, "random", 1), make_plan(model, "random", 2)
    both = {n: first.keep[n] & second.keep[n] for n in first.keep}
    once, other = resumed(model, adam)
    shrink(once, PruningPlan(both), [other])
    for number, plan in enumerate([first, second]):
        shrink(model, plan, [adam])
        assert shrink(model, plan, [adam]).before == count_parameters(model)
        step(model, adam, number)
        if number:
            step(once, other, number)
    assert count_parameters(model) == count_parameters(once)
    groups = find_units(model)
    left = remaining(model, PruningPlan(both))
    assert all(left[name].all() for name in groups)


@pytest.mark.parametrize(
    "attention, style",
    [
        ("RelPosMHAXL", "random"),
        ("RoPEMHA", "a head"),
        ("regularMHA", "empty first block"),
    ],
)
def test_a_training_that_is_resumed_goes_on_bitwise(attention, style):
    model, adam, plan = trained(style, attention=attention)
    shrink(model, plan, [adam])
    step(model, adam, 1)
    fresh, other = resumed(model, adam, attention)
    shrink(fresh, PruningPlan(unsealed(fresh)), [other])
    for number in (2, 3):
        step(model, adam, number)
        step(fresh, other, number)
    same(fresh.state_dict(), model.state_dict(), tolerance=0.0)
    states = adam.state_dict()["state"], other.state_dict()["state"]
    for one, two in zip(*map(dict.values, states), strict=True):
        same(one, two, tolerance=0.0)


@settings(max_examples=5, phases=[Phase.explicit, Phase.generate])
@given(
    attention=st.sampled_from(ATTENTION),
    style=st.sampled_from(PLANS),
    seed=st.integers(0, 1000),
)
def test_a_checkpoint_is_that_of_a_masked_model(attention, style, seed):
    model = build(attention, seed)
    plan = make_plan(model, style, seed)
    x = torch.randn(2, 9, 16, dtype=torch.float64)
    masked = forward(apply_masks(copy.deepcopy(model), plan), x)
    shapes = {name: v.shape for name, v in model.state_dict().items()}
    shrink(model, plan)
    state = model.state_dict()
    assert {name: value.shape for name, value in state.items()} == shapes
    fresh = build(attention, seed=99)
    fresh.load_state_dict(state)
    for one in (model, fresh, remove_gates(copy.deepcopy(fresh))):
        torch.testing.assert_close(forward(one, x), masked)
    made = PruningPlan.from_retention(fresh, threshold=-100.0)
    alive = PruningPlan.from_retention(whole_form(model), threshold=-100.0)
    for name in plan.keep:
        assert torch.equal(made.keep[name], alive.keep[name])


def test_checkpoints_from_before_load_into_a_model_that_shrank():
    model, _, plan = trained()
    older = copy.deepcopy(model)
    with torch.no_grad():
        older.layers[0].ffn_module1[1].ffn[0].bias.fill_(7.0)
    shrink(model, plan)
    model.load_state_dict(older.state_dict())
    kept = int(plan.keep["layers.0.ffn_module1"].sum())
    bias = model.layers[0].ffn_module1[1].ffn[0].bias
    assert bias.tolist() == [7.0] * kept
    stock = remove_gates(older)
    model.load_state_dict(stock.state_dict())
    with pytest.raises(RuntimeError, match="Unexpected key.*nonsense"):
        model.load_state_dict(stock.state_dict() | {"nonsense": bias})


def test_what_grows_back_computes_the_same_and_goes_on():
    model, adam, plan = trained()
    encoder, x = model.layers[0], torch.randn(1, 5, 16, dtype=torch.float64)
    dense = count_parameters(model)
    shrink(model, plan, [adam])
    step(model, adam, 1)
    before, states = forward(model, x), adam.state_dict()
    grow(model)
    torch.testing.assert_close(forward(model, x), before)
    assert count_parameters(model) == dense
    assert whole_form(model) is model
    assert encoder.ffn_module1[1].ffn[0].out_features == 12  # the same block
    held = [id(p) for group in adam.param_groups for p in group["params"]]
    assert set(held) == {id(p) for p in model.parameters()}
    for number, values in adam.state_dict()["state"].items():
        same(values, states["state"][number], tolerance=0.0)
    shrink(model, PruningPlan(unsealed(model)), [adam])
    torch.testing.assert_close(forward(model, x), before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_model_that_shrank_may_be_cast(dtype):
    model, _, plan = trained()
    shrink(model, make_plan(model, "empty first block"))
    shrink(model, plan)
    model.to(dtype)
    state = model.state_dict()
    cast = build().to(dtype).state_dict()
    assert {n: v.dtype for n, v in state.items()} == {
        name: value.dtype for name, value in cast.items()
    }
    model.load_state_dict(state)
    grow(model)
    same(model.state_dict(), state, tolerance=0.0)
    assert {p.dtype for p in model.parameters()} == {dtype}


def test_what_was_changed_since_the_shrink_stays_so_when_it_grows():
    model, _, plan = trained()
    plan.keep["layers.1.convolution_module"][:] = True
    x = torch.randn(1, 5, 16, dtype=torch.float64)
    shrink(model.train(), plan)
    block, other = model.layers
    norm, inner = model.norm, block.ffn_module1[1].ffn
    norm.norm.eps = 0.5
    norm.eval()
    inner[0].weight.requires_grad_(False)
    inner[0].eval()
    inner.get_submodule("2").p = 0.75
    other.convolution_module.bottleneck[0].bias.requires_grad_(False)
    before = forward(copy.deepcopy(model).eval(), x)
    grow(model)
    assert [*model.layers] == [block, other] and model.norm is norm
    assert norm.norm.eps == 0.5 and not norm.training
    grown = block.ffn_module1[1].ffn
    assert grown[0].out_features == 12
    assert grown.get_submodule("2").p == 0.75
    frozen = [n for n, p in model.named_parameters() if not p.requires_grad]
    assert frozen == [
        "layers.0.ffn_module1.1.ffn.0.weight",
        "layers.1.convolution_module.bottleneck.0.bias",
    ]
    still = [n for n, m in model.named_modules() if not m.training]
    assert still == ["layers.0.ffn_module1.1.ffn.0", "norm", "norm.norm"]
    torch.testing.assert_close(forward(model.eval(), x), before)


def test_what_is_tied_to_a_layer_that_was_cut_is_tied_when_it_grows():
    model = nn.ModuleDict({"chain": chain(), "other": nn.Linear(7, 2)})
    model["other"].weight = model["chain"][6].weight
    shrink(model, PruningPlan({"chain.0": torch.arange(9) < 4}))
    grow(model)
    assert model["other"].weight is model["chain"][6].weight
    assert model["chain"][0].out_features == 9


def test_settled_units_leave_and_a_resumed_model_knows_them():
    model, adam, plan = trained()
    settle(model, plan.keep)
    shrink(model, plan, [adam])
    for name, gate in adaptive_dropouts(model).items():
        assert gate.settled and not gate.logits.requires_grad
        assert gate.keep().all(), name
    fresh, _ = resumed(model, adam)
    for name, keep in unsealed(fresh).items():
        assert torch.equal(keep, plan.keep[name])


def test_c_is_found_even_where_all_gates_have_left():
    model, adam, _ = trained()
    schedule = schedule_of(model)
    assert schedule is next(iter(adaptive_dropouts(model).values())).schedule
    shrink(model, make_plan(model, "nothing"), [adam])
    assert not adaptive_dropouts(model)
    assert schedule_of(model) is schedule
    assert schedule_of(nn.Linear(2, 2)) is None


def test_gates_of_a_model_that_shrank_have_nothing_to_do(monkeypatch):
    model, adam, plan = trained()
    settle(model, plan.keep)
    shrink(model, plan, [adam])
    gates = adaptive_dropouts(model).values()
    model.train()
    assert gates and all(gate.idle for gate in gates)
    for gate in gates:
        monkeypatch.setattr(gate, "mask", lambda batch: pytest.fail("asked"))
    forward(model, torch.randn(2, 7, 16, dtype=torch.float64))


def test_sizes_are_those_of_the_whole_model():
    model, adam, _ = trained()
    whole = count_parameters(model)
    plan = PruningPlan.from_retention(model, target_parameters=0.8)
    shrink(model, plan, [adam])
    again = PruningPlan.from_retention(whole_form(model), target_parameters=0.6)
    shrink(model, again, [adam])
    assert count_parameters(model) == pytest.approx(0.6 * whole, rel=0.03)


def test_a_model_that_shrank_is_copied_pickled_and_compacted():
    model, adam, plan = trained()
    shrink(model, plan, [adam])
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        same(twin.state_dict(), model.state_dict(), tolerance=0.0)
        twin.load_state_dict(model.state_dict())
    small = compact(model, PruningPlan({}))
    assert small.state_dict().keys() <= dict(small.state_dict()).keys()
    assert {n: p.shape for n, p in small.named_parameters()} == {
        n: small.state_dict()[n].shape for n, _ in small.named_parameters()
    }


def chain():
    """Fully connected layers with all that may stand between them."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 9),
        nn.LayerNorm(9),
        nn.PReLU(9),
        nn.Linear(9, 7),
        nn.BatchNorm1d(7),
        nn.Sigmoid(),
        nn.Linear(7, 2),
    )


@pytest.mark.parametrize("empty", [False, True])
def test_chains_with_norms_shrink_too(empty):
    model, plan = chain(), make_plan(chain(), "random", 3)
    if empty:
        plan.keep["0"][:] = False
    masked = apply_masks(copy.deepcopy(model), plan)
    other = nn.Linear(4, 4)
    shared = [*other.parameters(), *model.parameters()]
    adam = torch.optim.Adam(shared, 0.01, eps=1e-3)
    reference = torch.optim.Adam(masked.parameters(), 0.01, eps=1e-3)
    shrink(model, plan, [adam])
    for seed in range(3):
        x = torch.randn(6, 4, generator=torch.Generator().manual_seed(seed))
        for network, optimizer in ((model, adam), (masked, reference)):
            optimizer.zero_grad()
            (network(x).square().mean() + other.bias.sum()).backward()
            optimizer.step()
    fresh, again = chain(), nn.Linear(4, 4)
    fresh.load_state_dict(model.state_dict())
    for one in (model, masked, fresh):
        one.eval()
    small = compact(masked, plan)
    torch.testing.assert_close(model(x), small(x), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        apply_masks(fresh, plan)(x), small(x), atol=1e-5, rtol=0
    )
    held = [*again.parameters(), *chain().parameters()]
    torch.optim.Adam(held).load_state_dict(adam.state_dict())


def test_convolutions_keep_the_channels_that_they_need():
    def make():
        network = CRDNN(
            input_shape=[None, None, 10],
            cnn_blocks=1,
            cnn_channels=(4,),
            rnn_layers=1,
            rnn_neurons=4,
            dnn_blocks=2,
            dnn_neurons=6,
        )
        schedule = RetentionSchedule(c_start=0.0)
        return attach_adaptive_dropout(network, schedule).eval()

    model, x = make(), torch.randn(2, 12, 10)
    plan = make_plan(model, "one unit")
    adam = torch.optim.Adam(model.parameters())
    model(x).sum().backward()
    adam.step()
    settle(model, plan.keep)
    before = model(x)
    shrink(model, plan, [adam])
    torch.testing.assert_close(model(x), before)
    fresh = make()
    fresh.load_state_dict(model.state_dict())
    shrink(fresh, PruningPlan(unsealed(fresh)))
    assert count_parameters(fresh) == count_parameters(model)
    torch.testing.assert_close(fresh(x), before)


def test_gradients_that_wait_for_a_step_are_cut_along():
    model = chain()
    adam = torch.optim.SGD(model.parameters(), 1.0)
    model(torch.randn(5, 4)).sum().backward()
    keep = torch.arange(9) % 2 == 0
    expected = (model[0].weight - model[0].weight.grad)[keep].detach()
    shrink(model, PruningPlan({"0": keep}), [adam])
    adam.step()
    torch.testing.assert_close(model[0].weight.detach(), expected)


def test_a_state_of_another_shape_is_refused_before_anything_changes():
    model = chain()
    optimizer = torch.optim.Adafactor(model.parameters())
    model(torch.randn(5, 4)).sum().backward()
    optimizer.step()
    with pytest.raises(TrainingError, match="row_var of a Adafactor"):
        shrink(model, make_plan(model, "random"), [optimizer])
    assert len(model[0].weight) == 9
    assert model.state_dict().keys() == chain().state_dict().keys()


def test_a_plan_of_another_model_is_refused():
    with pytest.raises(PlanError, match="names group nowhere"):
        shrink(chain(), PruningPlan({"nowhere": torch.ones(3).bool()}))


def following():
    """A gated chain that follows its optimiser, all three."""
    model, schedule = chain(), RetentionSchedule(steps=10)
    attach_adaptive_dropout(model, schedule, gamma=1e-3)
    return model, schedule, torch.optim.Adam(model.parameters(), 0.01)


def test_a_schedule_that_follows_an_optimiser_goes_on():
    model, schedule, adam = following()
    shrink(model, make_plan(model, "random"), [adam])
    before = model[6].gate.units.logits.detach().clone()
    model(torch.randn(6, 4)).sum().backward()
    adam.step()
    assert schedule.step == 1
    assert not torch.equal(model[6].gate.units.logits, before)


def test_a_schedule_that_follows_and_steers_shrinks_too():
    model, schedule, adam = following()
    steer_size(model, 0.5)
    shrink(model, make_plan(model, "random"), [adam])
    model(torch.randn(6, 4)).sum().backward()
    adam.step()
    assert schedule.step == 1
    assert schedule.units >= 0


def test_gates_may_be_attached_to_a_model_that_shrank():
    keep = torch.arange(9) < 4
    model = chain()
    adam = torch.optim.Adam(model.parameters(), 0.01)
    shrink(model, PruningPlan({"0": keep}), [adam])
    schedule = RetentionSchedule(steps=10)
    attach_adaptive_dropout(model, schedule, gamma=1e-3)
    gates = adaptive_dropouts(model).values()
    adam.add_param_group({"params": [gate.logits for gate in gates]})
    model(torch.randn(6, 4)).sum().backward()
    adam.step()
    fresh, _, _ = following()
    fresh.load_state_dict(copy.deepcopy(model.state_dict()))
    assert torch.equal(unsealed(fresh)["0"], keep)
    assert unsealed(fresh)["3"].all()
    moments = adam.state_dict()["state"]
    assert [len(moments[n]["exp_avg"]) for n in (11, 12)] == [9, 7]
    model.load_state_dict(fresh.state_dict())
    grow(model)
    same(model.state_dict(), fresh.state_dict())
    model(torch.randn(6, 4)).sum().backward()
    adam.step()
    assert schedule.step == 2


def test_gates_attached_to_an_encoder_that_shrank_compute_when_it_grows():
    model = remove_gates(build())
    shrink(model, make_plan(model, "random"))
    attach_adaptive_dropout(model, RetentionSchedule())
    x = torch.randn(1, 5, 16, dtype=torch.float64)
    before = forward(model.eval(), x)
    grow(model)
    torch.testing.assert_close(forward(model, x), before)


def test_parameters_that_an_optimizer_got_later_are_saved():
    model, other = chain(), nn.Linear(3, 1)
    head = [*model[6].parameters()]
    adam = torch.optim.Adam(
        [p for p in model.parameters() if all(p is not q for q in head)]
    )
    shrink(model, PruningPlan({"3": torch.arange(7) < 5}), [adam])
    adam.add_param_group({"params": [*other.parameters()]})
    adam.add_param_group({"params": [*model[6].parameters()]})
    (model(torch.randn(6, 4)).sum() + other.weight.sum()).backward()
    adam.step()
    saved = adam.state_dict()
    shapes = [tuple(g["params"]) for g in saved["param_groups"]]
    count = len(shapes[0])
    assert shapes[1:] == [(count, count + 1), (count + 2, count + 3)]
    states = saved["state"]
    assert states[count]["exp_avg"].shape == (1, 3)
    assert states[count + 2]["exp_avg"].shape == (2, 7)
    adam.load_state_dict(saved)
    grow(model)
    assert model[6].weight in set(adam.param_groups[2]["params"])
    same(adam.state_dict()["state"][count + 2], states[count + 2], 0.0)


def test_it_follows_the_units_that_come_back_too():
    model, schedule, adam = following()
    shrink(model, make_plan(model, "random"), [adam])
    grow(model)
    model(torch.randn(6, 4)).sum().backward()
    adam.step()
    assert schedule.step == 1
    gates = adaptive_dropouts(model).values()
    pulls = dict(schedule.follower.pulls)
    assert all(pulls[gate] == 1e-3 for gate in gates)
