"""The compact model equals the masked one: everywhere, for any plan."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from speechbrain.lobes.models.transformer.Branchformer import (
    ConvolutionBranch,
)
from speechbrain.lobes.models.transformer.Conformer import (
    ConformerEncoder,
    ConvolutionModule,
)
from speechbrain.lobes.models.transformer.TransformerASR import (
    TransformerASR,
    make_transformer_src_mask,
)
from speechbrain.nnet.attention import RelPosEncXL
from speechbrain.utils.dynamic_chunk_training import DynChunkTrainConfig

from speechbrain_neuronprune import (
    PruningPlan,
    RetentionSchedule,
    adaptive_dropouts,
    apply_masks,
    attach_adaptive_dropout,
    compact,
    find_units,
)
from speechbrain_neuronprune.compaction import ParameterCounter, remove_gates
from speechbrain_neuronprune.errors import PlanError
from speechbrain_neuronprune.shrinking import shrink
from speechbrain_neuronprune.units import count_parameters
from tests.plans import PLANS, make_plan, randomize

TOLERANCE = 1e-5
ATTENTION = ("RelPosMHAXL", "RoPEMHA", "regularMHA")


def build_encoder(attention, kernel_size=5, bias=True, causal=False):
    """A small encoder whose biases and norms are far from their start."""
    encoder = ConformerEncoder(
        2,
        16,
        20,
        2,
        kernel_size=kernel_size,
        bias=bias,
        causal=causal,
        attention_type=attention,
    )
    randomize(encoder)
    return encoder.eval()


def run(encoder, x, lengths=None, chunk=None, attention="RelPosMHAXL"):
    """Full-context or chunk-masked forward, with padding."""
    positions = None
    if attention == "RelPosMHAXL":
        positions = RelPosEncXL(x.shape[-1])(x)
    padding = None
    if lengths is not None:
        padding = torch.arange(x.shape[1])[None] >= lengths[:, None]
    with torch.no_grad():
        return encoder(
            x,
            src_mask=make_transformer_src_mask(x, dynchunktrain_config=chunk),
            src_key_padding_mask=padding,
            pos_embs=positions,
            dynchunktrain_config=chunk,
        )[0]


def largest_difference(one, two, lengths):
    valid = torch.arange(one.shape[1])[None] < lengths[:, None]
    assert torch.isfinite(one[valid]).all()
    return (one - two)[valid].abs().max().item()


@settings(max_examples=150)
@given(
    attention=st.sampled_from(ATTENTION),
    style=st.sampled_from(PLANS),
    length=st.integers(1, 300),
    batch_size=st.integers(1, 4),
    kernel_size=st.sampled_from([1, 3, 7, 15, 31]),
    padded=st.booleans(),
    bias=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_compact_equals_masked(
    attention, style, length, batch_size, kernel_size, padded, bias, seed
):
    torch.manual_seed(seed)
    encoder = build_encoder(attention, kernel_size, bias)
    plan = make_plan(encoder, style, seed)
    masked = apply_masks(copy.deepcopy(encoder), plan)
    small = compact(encoder, plan)
    x = torch.randn(batch_size, length, 16)
    lengths = torch.full((batch_size,), length)
    if padded:
        lengths = torch.randint(1, length + 1, (batch_size,))
        lengths[0] = length
    difference = largest_difference(
        run(masked, x, lengths, attention=attention),
        run(small, x, lengths, attention=attention),
        lengths,
    )
    assert difference <= TOLERANCE


@settings(max_examples=40)
@given(
    attention=st.sampled_from(("RelPosMHAXL", "RoPEMHA")),
    style=st.sampled_from(PLANS),
    length=st.integers(2, 60),
    chunk_size=st.integers(1, 16),
    left=st.sampled_from([None, 1, 3]),
    seed=st.integers(0, 10**6),
)
def test_chunked_forward_equals_masked(
    attention, style, length, chunk_size, left, seed
):
    torch.manual_seed(seed)
    encoder = build_encoder(attention)
    plan = make_plan(encoder, style, seed)
    masked = apply_masks(copy.deepcopy(encoder), plan)
    chunk = DynChunkTrainConfig(chunk_size, left)
    x = torch.randn(2, length, 16)
    one = run(masked, x, chunk=chunk, attention=attention)
    two = run(compact(encoder, plan), x, chunk=chunk, attention=attention)
    assert (one - two).abs().max() <= TOLERANCE


@pytest.mark.parametrize("style", PLANS)
@pytest.mark.parametrize("attention", ("RelPosMHAXL", "RoPEMHA"))
def test_streaming_chunk_by_chunk_equals_masked(attention, style):
    asr = TransformerASR(
        8,
        20,
        16,
        2,
        2,
        0,
        24,
        encoder_module="conformer",
        attention_type=attention,
        positional_encoding=None,
        kernel_size=5,
        causal=False,
        normalize_before=True,
    ).eval()
    randomize(asr)
    plan = make_plan(asr, style)
    models = [apply_masks(copy.deepcopy(asr), plan), compact(asr, plan)]
    contexts = [
        model.make_streaming_context(DynChunkTrainConfig(8, 2))
        for model in models
    ]
    for chunk in torch.randn(1, 40, 20).split(8, dim=1):
        with torch.no_grad():
            one, two = (
                model.encode_streaming(chunk, context)
                for model, context in zip(models, contexts, strict=True)
            )
        assert (one - two).abs().max() <= TOLERANCE


@pytest.mark.parametrize("style", PLANS)
def test_causal_form_equals_masked(style):
    encoder = build_encoder("RelPosMHAXL", causal=True)
    plan = make_plan(encoder, style)
    masked = apply_masks(copy.deepcopy(encoder), plan)
    x = torch.randn(2, 30, 16)
    difference = run(masked, x) - run(compact(encoder, plan), x)
    assert difference.abs().max() <= TOLERANCE


@pytest.mark.parametrize("attention", ATTENTION)
def test_retention_made_plan_equals_the_trained_gates(attention):
    """The model with its hard gates in evaluation is the masked model."""
    encoder = build_encoder(attention)
    schedule = RetentionSchedule(steps=1)
    gated = attach_adaptive_dropout(copy.deepcopy(encoder), schedule).eval()
    schedule.advance()
    for gate in adaptive_dropouts(gated).values():
        torch.nn.init.normal_(gate.logits)
    plan = PruningPlan.from_retention(gated)
    x = torch.randn(2, 50, 16)
    small = run(compact(gated, plan), x, attention=attention)
    assert (run(gated, x, attention=attention) - small).abs().max() < 1e-5
    masked = apply_masks(copy.deepcopy(gated), plan)
    assert (run(masked, x, attention=attention) - small).abs().max() < 1e-5


@pytest.mark.parametrize("attention", ATTENTION)
def test_masked_with_everything_kept_is_the_stock_model(attention):
    """SpeechBrain's own forward is the oracle for ours."""
    encoder = build_encoder(attention)
    plan = make_plan(encoder, "everything")
    x, lengths = torch.randn(3, 41, 16), torch.tensor([41, 20, 7])
    stock = run(encoder, x, lengths, attention=attention)
    masked = apply_masks(copy.deepcopy(encoder), plan)
    ours = run(masked, x, lengths, attention=attention)
    assert largest_difference(stock, ours, lengths) <= 2e-6


@pytest.mark.parametrize("attention", ATTENTION)
def test_a_removed_unit_has_no_influence(attention):
    """Changing what removed units own changes nothing in the masked model."""
    encoder = build_encoder(attention)
    plan = make_plan(encoder, "random")
    masked = apply_masks(copy.deepcopy(encoder), plan)
    x = torch.randn(2, 20, 16)
    before = run(masked, x, attention=attention)
    with torch.no_grad():
        for name, group in find_units(masked).items():
            layer = masked.get_submodule(group.layer)
            for one in group.slices:
                parameter = layer.get_parameter(one.parameter)
                index = one.index[~plan.keep[name]].flatten()
                if one.dim is None:
                    parameter.view(-1)[index] += 1.0
                else:
                    parameter.index_add_(
                        one.dim, index, _ones(parameter, one.dim, len(index))
                    )
    after = run(masked, x, attention=attention)
    assert torch.equal(before, after)


def _ones(parameter, dim, count):
    shape = list(parameter.shape)
    shape[dim] = count
    return torch.ones(shape)


@pytest.mark.parametrize("attention", ATTENTION)
@pytest.mark.parametrize("style", ("random", "a head", "nothing"))
def test_compact_parameters_are_counted_exactly(attention, style):
    encoder = build_encoder(attention)
    plan = make_plan(encoder, style)
    expected = count_parameters(compact(encoder, plan))
    assert ParameterCounter(encoder)(plan.keep) == expected


@pytest.mark.parametrize("attention", ATTENTION)
def test_parameters_per_unit_add_up(attention):
    """Removing units without emptying anything saves what they own."""
    encoder = build_encoder(attention)
    groups = find_units(encoder)
    keep = {n: torch.arange(g.size) % 2 == 0 for n, g in groups.items()}
    saved = sum(
        int((~keep[n]).sum()) * g.parameters_per_unit for n, g in groups.items()
    )
    small = compact(encoder, PruningPlan(keep))
    assert count_parameters(encoder) - count_parameters(small) == saved


@pytest.mark.parametrize("attention", ATTENTION)
def test_compact_model_trains_on(attention):
    encoder = build_encoder(attention)
    small = compact(encoder, make_plan(encoder, "a head")).train()
    positions = None
    if attention == "RelPosMHAXL":
        positions = RelPosEncXL(16)(torch.zeros(1, 12, 16))
    small(torch.randn(2, 12, 16), pos_embs=positions)[0].sum().backward()
    grads = [p.grad for p in small.parameters()]
    assert any(g is not None and g.abs().sum() > 0 for g in grads)


@pytest.mark.parametrize("attention", ATTENTION)
def test_compacting_twice_equals_compacting_once(attention):
    """A compact model has units of its own; pruning them is exact too."""
    encoder = build_encoder(attention)
    first = compact(encoder, make_plan(encoder, "a head"))
    plan = make_plan(first, "random", seed=5)
    masked = apply_masks(copy.deepcopy(first), plan)
    x = torch.randn(2, 33, 16)
    one = run(masked, x, attention=attention)
    two = run(compact(first, plan), x, attention=attention)
    assert (one - two).abs().max() <= TOLERANCE


@pytest.mark.parametrize("attention", ATTENTION)
@pytest.mark.parametrize("style", ("random", "a head", "nothing"))
def test_widths_rebuild_the_architecture(attention, style):
    encoder = build_encoder(attention)
    plan = make_plan(encoder, style)
    small = compact(encoder, plan)
    other = build_encoder(attention)
    shape_only = PruningPlan.from_widths(other, plan.widths(encoder))
    rebuilt = compact(other, shape_only)
    rebuilt.load_state_dict(small.state_dict())
    x = torch.randn(1, 25, 16)
    one = run(small, x, attention=attention)
    assert torch.equal(one, run(rebuilt, x, attention=attention))


def test_compact_leaves_the_given_model_alone():
    encoder = attach_adaptive_dropout(
        build_encoder("RelPosMHAXL"), RetentionSchedule()
    )
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    compact(encoder, make_plan(encoder, "random"))
    after = encoder.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_remove_gates_gives_the_stock_model_back():
    encoder = build_encoder("RelPosMHAXL")
    x = torch.randn(1, 20, 16)
    expected, keys = run(encoder, x), set(encoder.state_dict())
    attach_adaptive_dropout(encoder, RetentionSchedule())
    remove_gates(encoder)
    assert set(encoder.state_dict()) == keys
    torch.testing.assert_close(run(encoder, x), expected)


def test_a_plan_for_another_model_names_the_group():
    plan = make_plan(build_encoder("RelPosMHAXL"), "random")
    other = ConformerEncoder(2, 16, 24, 2, kernel_size=5)
    with pytest.raises(PlanError, match="20 units for group layers.0.ffn"):
        apply_masks(other, plan)
    with pytest.raises(PlanError, match="layers.1"):
        compact(ConformerEncoder(1, 16, 20, 2, kernel_size=5), plan)


@pytest.mark.parametrize("change", [apply_masks, compact, shrink])
@pytest.mark.parametrize("plan", ["plan.json", {}])
def test_what_is_no_plan_says_what_to_give(change, plan):
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    with pytest.raises(PlanError, match=r"give PruningPlan.load\(path\)"):
        change(model, plan)


def test_masks_of_a_part_leave_the_rest_open():
    encoder = build_encoder("RelPosMHAXL")
    groups = find_units(encoder, "conv")
    plan = PruningPlan({n: torch.arange(g.size) < 4 for n, g in groups.items()})
    masked = apply_masks(copy.deepcopy(encoder), plan)
    small = compact(encoder, plan)
    x = torch.randn(1, 20, 16)
    assert (run(masked, x) - run(small, x)).abs().max() <= TOLERANCE
    assert find_units(small)["layers.0.ffn_module1"].size == 20


@pytest.mark.parametrize(
    "layer", [ConvolutionModule(8), ConvolutionBranch(8, 16, 3)], ids=type
)
def test_a_model_that_is_one_layer_may_be_emptied(layer):
    layer.eval()
    ((name, group),) = find_units(layer).items()
    plan = PruningPlan({name: torch.zeros(group.size, dtype=torch.bool)})
    small, x = compact(layer, plan), torch.randn(2, 7, 8)
    masked = apply_masks(copy.deepcopy(layer), plan)
    torch.testing.assert_close(small(x), masked(x))
    assert count_parameters(small) == 8


@pytest.mark.parametrize("learns", [True, False])
def test_what_is_left_learns_if_it_did_before(learns):
    encoder = build_encoder("RelPosMHAXL").requires_grad_(learns)
    small = compact(encoder, make_plan(encoder, "nothing"))
    assert {p.requires_grad for p in small.parameters()} == {learns}
