"""One draw for several places: in replicas, threads, checkpoints, copies."""

import copy
import threading
import weakref
from collections import OrderedDict

import pytest
import torch
from speechbrain.lobes.models.transformer.Branchformer import (
    ConvolutionBranch,
)
from speechbrain.lobes.models.transformer.Conformer import ConvolutionModule
from torch import nn
from torch.utils.checkpoint import checkpoint

from speechbrain_neuronprune import (
    PruningPlan,
    RetentionSchedule,
    adaptive_dropouts,
    apply_masks,
    attach_adaptive_dropout,
    compact,
    find_units,
)
from speechbrain_neuronprune.compaction import remove_gates
from speechbrain_neuronprune.errors import TrainingError
from tests.plans import randomize


def make_chain():
    return nn.Sequential(
        nn.Linear(6, 12), nn.LayerNorm(12), nn.Sigmoid(), nn.Linear(12, 6)
    )


MODELS = {
    "chain": make_chain,
    "convolution": lambda: nn.Sequential(ConvolutionModule(6, 3)),
    "gating": lambda: nn.Sequential(
        ConvolutionBranch(6, 24, 3, use_linear_after_conv=True)
    ),
}


@pytest.fixture(params=MODELS)
def model(request):
    model = MODELS[request.param]()
    randomize(model)
    return model.eval()


def plan_of(model):
    return PruningPlan(
        {n: torch.arange(g.size) % 3 > 0 for n, g in find_units(model).items()}
    )


def drawing(model):
    """The model with gates of which half the units are there."""
    schedule = RetentionSchedule(0.0, 0.0, steps=1)
    return attach_adaptive_dropout(model, schedule).train()


def replica_of(model):
    """What torch.nn.parallel.replicate makes, without an accelerator."""
    modules = list(model.modules())
    replicas = {one: one._replicate_for_data_parallel() for one in modules}
    for module in modules:
        replica = replicas[module]
        replica._former_parameters = OrderedDict()
        for name, child in module._modules.items():
            setattr(replica, name, replicas[child])
        own = {**module._parameters, **module._buffers}
        for name, tensor in own.items():
            setattr(replica, name, None if tensor is None else tensor.clone())
    return replicas[model]


def test_a_masked_replica_equals_the_compact_model(model):
    plan, x = plan_of(model), torch.randn(2, 9, 6)
    small = compact(model, plan)
    replica = replica_of(apply_masks(model, plan))
    torch.testing.assert_close(replica(x), small(x))


def test_replicas_draw_for_themselves(model):
    """Their gates are other ones than the model's, at every place."""
    x, model = torch.randn(4, 9, 6), drawing(model)
    torch.manual_seed(0)
    expected = model(x)
    replica = replica_of(model)
    for gate in adaptive_dropouts(model).values():
        gate.logits.data.fill_(-10.0)  # the model's own draws are zeros
    torch.manual_seed(0)
    torch.testing.assert_close(replica(x), expected)


def test_masked_passes_may_run_at_once(model):
    """Another thread passes while a layer is between two places."""
    x, other = torch.randn(2, 9, 6), torch.randn(3, 7, 6)
    expected = apply_masks(model, plan_of(model))(x)
    meets = []

    def meet(*_):
        if not meets:
            thread = threading.Thread(target=model, args=(other,))
            meets.append(thread)
            thread.start()
            thread.join()

    for name in ("0.conv", "0.csgu.conv", "2"):
        for path, module in model.named_modules():
            if path == name:
                module.register_forward_hook(meet)
    torch.testing.assert_close(model(x), expected)
    assert meets


def gradients(model, out):
    out.square().sum().backward()
    return {name: p.grad for name, p in model.named_parameters()}


def test_a_checkpoint_around_all_places_draws_the_same(model):
    x, twin = torch.randn(4, 9, 6), copy.deepcopy(drawing(model))
    torch.manual_seed(0)
    expected = gradients(model, model(x))
    torch.manual_seed(0)
    out = checkpoint(twin, x, use_reentrant=False)
    torch.testing.assert_close(gradients(twin, out), expected)


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoints_between_the_places_are_refused(reentrant):
    model, x = drawing(make_chain()), torch.randn(4, 6, requires_grad=True)
    for stage in model:
        x = checkpoint(stage, x, use_reentrant=reentrant)
    with pytest.raises(TrainingError, match="over 12 units is missing"):
        x.sum().backward()


def test_a_part_of_a_chain_runs_in_evaluation():
    model, h = drawing(make_chain()), torch.randn(4, 12)
    with pytest.raises(TrainingError, match="in evaluation only"):
        model[2:](h)
    assert model.eval()[2:](h).shape == (4, 6)


def test_a_draw_is_forgotten_at_the_last_place(model):
    model = drawing(model)
    model(torch.randn(4, 9, 6))
    copy.deepcopy(model)  # refused with what belongs to a graph


def test_copies_have_places_of_their_own(model):
    x, plan = torch.randn(4, 9, 6), plan_of(model)
    twin = copy.deepcopy(apply_masks(model, plan))
    expected = model(x)
    gates = [m for m in model.modules() if hasattr(m, "kept")]
    for gate in gates:
        gate.kept.fill_(True)
    assert torch.equal(twin(x), expected)
    assert not torch.equal(model(x), expected)


def test_a_gate_that_is_replaced_is_gone_at_once(model):
    """Or else it would set the pace of a schedule."""
    drawing(model)(torch.randn(4, 9, 6))
    gates = [weakref.ref(one) for one in adaptive_dropouts(model).values()]
    remove_gates(model)
    assert gates and not any(gate() for gate in gates)


def test_an_open_gate_is_idle_at_all_places(model):
    x = torch.randn(4, 9, 6)
    expected = model.train()(x)
    for gate in adaptive_dropouts(drawing(model)).values():
        gate.settle(torch.ones(gate.size).bool())
        assert gate.idle
    torch.testing.assert_close(model(x), expected)


def test_a_part_that_is_copied_without_its_gate_says_so():
    layer = ConvolutionModule(6, 3)
    model = attach_adaptive_dropout(nn.Sequential(layer), RetentionSchedule(9))
    part = copy.deepcopy(model[0].after_conv)
    with pytest.raises(TrainingError, match="copy the whole layer"):
        part(torch.randn(2, 5, 6))


def test_a_model_is_copied_after_an_interrupted_pass():
    chain = nn.Sequential(
        nn.Linear(4, 6), nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 2)
    )
    attach_adaptive_dropout(chain, RetentionSchedule(steps=10))

    def interrupt(*_):
        raise KeyboardInterrupt

    handle = chain[2].register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        chain(torch.randn(2, 4))
    handle.remove()
    small = compact(chain.eval(), PruningPlan({"0": torch.arange(6) < 3}))
    assert small[0].out_features == 3
