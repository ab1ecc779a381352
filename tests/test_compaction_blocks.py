"""Compact equals masked in every block beside the Conformer encoder's."""

import copy
import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from speechbrain.lobes.models.transformer.Branchformer import (
    BranchformerEncoder,
)
from speechbrain.lobes.models.transformer.Conformer import (
    ConformerDecoder,
    ConformerEncoder,
    ConformerEncoderLayer,
)
from speechbrain.lobes.models.transformer.Transformer import (
    TransformerDecoder,
    TransformerEncoder,
    get_lookahead_mask,
)
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
)
from speechbrain_neuronprune.compaction import ParameterCounter
from speechbrain_neuronprune.units import count_parameters
from tests.plans import PLANS, make_plan, randomize

TOLERANCE = 1e-5
WIDTH = 16


def transformer_encoder(attention, pre_norm, activation=nn.ReLU):
    return TransformerEncoder(
        2,
        2,
        20,
        d_model=WIDTH,
        attention_type=attention,
        normalize_before=pre_norm,
        activation=activation,
    )


def transformer_decoder(attention, pre_norm):
    return TransformerDecoder(
        2,
        2,
        20,
        WIDTH,
        attention_type=attention,
        normalize_before=pre_norm,
        causal=True,
    )


def conformer_decoder(attention, causal):
    return ConformerDecoder(
        2, 2, 20, WIDTH, attention_type=attention, causal=causal
    )


def branchformer(attention, linear, gate=nn.Identity):
    return BranchformerEncoder(
        2,
        WIDTH,
        2,
        kernel_size=5,
        attention_type=attention,
        csgu_linear_units=24,
        use_linear_after_conv=linear,
        gate_activation=gate,
    )


ENCODERS = {
    "transformer": functools.partial(
        transformer_encoder, "regularMHA", True, nn.GELU
    ),
    "transformer, post-norm": functools.partial(
        transformer_encoder, "regularMHA", False
    ),
    "transformer, RelPos": functools.partial(
        transformer_encoder, "RelPosMHAXL", True
    ),
    "transformer, RoPE": functools.partial(
        transformer_encoder, "RoPEMHA", True
    ),
    "branchformer": functools.partial(
        branchformer, "regularMHA", False, nn.Sigmoid
    ),
    "branchformer, linear gate": functools.partial(
        branchformer, "RelPosMHAXL", True
    ),
}
DECODERS = {
    "transformer": functools.partial(transformer_decoder, "regularMHA", True),
    "transformer, post-norm": functools.partial(
        transformer_decoder, "regularMHA", False
    ),
    "transformer, RelPos": functools.partial(
        transformer_decoder, "RelPosMHAXL", True
    ),
    "conformer": functools.partial(conformer_decoder, "regularMHA", True),
    "conformer, RelPos": functools.partial(
        conformer_decoder, "RelPosMHAXL", False
    ),
}


def build(table, name):
    model = table[name]().eval()
    randomize(model)
    return model


def positions(name, x):
    return RelPosEncXL(WIDTH)(x) if is_relative(name) else None


def is_relative(name):
    return "RelPos" in name or "linear gate" in name


def padding(lengths, total):
    return torch.arange(total)[None] >= torch.tensor(lengths)[:, None]


@torch.no_grad()
def encode(model, name, x, lengths):
    return model(
        x,
        src_key_padding_mask=padding(lengths, x.shape[1]),
        pos_embs=positions(name, x),
    )[0]


@torch.no_grad()
def decode(model, name, tgt, memory, lengths):
    return model(
        tgt,
        memory,
        tgt_mask=get_lookahead_mask(tgt),
        memory_key_padding_mask=padding(lengths, memory.shape[1]),
        pos_embs_tgt=positions(name, tgt),
        pos_embs_src=positions(name, memory),
    )


def masked_and_compact(model, style, seed):
    plan = make_plan(model, style, seed)
    return apply_masks(copy.deepcopy(model), plan), compact(model, plan)


def largest_difference(one, two, lengths):
    valid = ~padding(lengths, one.shape[1])
    assert torch.isfinite(one[valid]).all()
    return (one - two)[valid].abs().max().item()


@settings(max_examples=40)
@given(
    name=st.sampled_from(sorted(ENCODERS)),
    style=st.sampled_from(PLANS),
    lengths=st.lists(st.integers(3, 40), min_size=1, max_size=3),
    seed=st.integers(0, 10**6),
)
def test_encoders(name, style, lengths, seed):
    torch.manual_seed(seed)
    masked, small = masked_and_compact(build(ENCODERS, name), style, seed)
    x = torch.randn(len(lengths), max(lengths), WIDTH)
    one, two = (encode(m, name, x, lengths) for m in (masked, small))
    assert largest_difference(one, two, lengths) <= TOLERANCE


@settings(max_examples=40)
@given(
    name=st.sampled_from(sorted(DECODERS)),
    style=st.sampled_from(PLANS),
    tokens=st.integers(1, 12),
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=3),
    seed=st.integers(0, 10**6),
)
def test_decoders(name, style, tokens, lengths, seed):
    """The attention weights that a decoder returns are the same too; those
    of RelPosMHAXL are one matrix per surviving head."""
    torch.manual_seed(seed)
    masked, small = masked_and_compact(build(DECODERS, name), style, seed)
    tgt = torch.randn(len(lengths), tokens, WIDTH)
    memory = torch.randn(len(lengths), max(lengths), WIDTH)
    one, two = (decode(m, name, tgt, memory, lengths) for m in (masked, small))
    assert torch.isfinite(one[0]).all()
    assert (one[0] - two[0]).abs().max() <= TOLERANCE
    if not is_relative(name):
        for ours, theirs in zip(one[2], two[2], strict=True):
            assert ours.shape == theirs.shape
            assert (ours - theirs).abs().max() <= TOLERANCE


@pytest.mark.parametrize("name", ENCODERS)
def test_open_encoders_are_the_stock_ones(name):
    model = build(ENCODERS, name)
    masked, _ = masked_and_compact(model, "everything", 0)
    x, lengths = torch.randn(2, 23, WIDTH), [23, 9]
    one, two = (encode(m, name, x, lengths) for m in (model, masked))
    assert largest_difference(one, two, lengths) <= 2e-6


@pytest.mark.parametrize("name", DECODERS)
def test_open_decoders_are_the_stock_ones(name):
    model = build(DECODERS, name)
    masked, _ = masked_and_compact(model, "everything", 0)
    tgt, memory = torch.randn(2, 7, WIDTH), torch.randn(2, 23, WIDTH)
    one, two = (decode(m, name, tgt, memory, [23, 9]) for m in (model, masked))
    torch.testing.assert_close(one, two, atol=2e-6, rtol=1e-5)


BLOCKS = {**ENCODERS, **{f"decoder, {k}": v for k, v in DECODERS.items()}}
blocks = pytest.mark.parametrize("name", BLOCKS)


@blocks
@pytest.mark.parametrize("style", ("random", "a head", "nothing"))
def test_sizes_are_counted_and_rebuilt_exactly(name, style):
    model = build(BLOCKS, name)
    plan = make_plan(model, style)
    small = compact(model, plan)
    assert ParameterCounter(model)(plan.keep) == count_parameters(small)
    shapes = PruningPlan.from_widths(model, plan.widths(model))
    rebuilt = compact(build(BLOCKS, name), shapes)
    rebuilt.load_state_dict(small.state_dict())
    for one, two in zip(rebuilt.parameters(), small.parameters(), strict=True):
        assert torch.equal(one, two)


@blocks
def test_parameters_per_unit_add_up(name):
    """Removing one unit of every group saves what these units own."""
    model = build(BLOCKS, name)
    groups = find_units(model)
    plan = PruningPlan({n: torch.arange(g.size) > 0 for n, g in groups.items()})
    saved = count_parameters(model) - count_parameters(compact(model, plan))
    assert saved == sum(g.parameters_per_unit for g in groups.values())


@blocks
def test_stock_checkpoints_load_before_and_after_gates_are_attached(name):
    stock = build(BLOCKS, name)
    gated = attach_adaptive_dropout(
        build(BLOCKS, name), RetentionSchedule(steps=10)
    )
    gated.load_state_dict(stock.state_dict())
    ours = gated.state_dict()
    for key, value in stock.state_dict().items():
        assert torch.equal(ours[key], value)
    gated.load_state_dict(ours)


def outputs(models, name, lengths=(9, 6)):
    """What an encoder or a decoder makes of the same random input."""
    x, memory = torch.randn(2, len(lengths), max(lengths), WIDTH)
    if name.startswith("decoder"):
        return [decode(m, name, x, memory, lengths)[0] for m in models]
    valid = ~padding(lengths, max(lengths))
    return [encode(m, name, x, lengths)[valid] for m in models]


@blocks
def test_compacting_twice_equals_compacting_once(name):
    """A compact model has units of its own; pruning them is exact too."""
    model = build(BLOCKS, name)
    first = compact(model, make_plan(model, "a head"))
    one, two = outputs(masked_and_compact(first, "random", 5), name)
    assert (one - two).abs().max() <= TOLERANCE


@blocks
def test_every_gate_learns(name):
    model = attach_adaptive_dropout(
        build(BLOCKS, name), RetentionSchedule(c_start=2.0)
    ).train()
    run = decode if name.startswith("decoder") else encode
    given = torch.randn(2, 2, 9, WIDTH)[: 2 if run is decode else 1]
    out = run.__wrapped__(model, name, *given, (9, 6))
    (out[0] if run is decode else out).square().sum().backward()
    gates = adaptive_dropouts(model)
    assert list(gates) == list(find_units(model))
    for gate in gates.values():
        assert gate.logits.grad.isfinite().all()
        assert (gate.logits.grad != 0).any()


@blocks
def test_what_the_gates_keep_is_the_compact_network(name):
    schedule = RetentionSchedule(c_start=2.0, c_end=0.0, steps=1)
    model = attach_adaptive_dropout(build(BLOCKS, name), schedule)
    for gate in adaptive_dropouts(model).values():
        torch.nn.init.normal_(gate.logits)
    schedule.advance()
    small = compact(model, PruningPlan.from_retention(model))
    one, two = outputs((model.eval(), small), name)
    assert (one - two).abs().max() <= TOLERANCE


@blocks
def test_norms_before_emptied_parts_go(name):
    """Those behind them are over the residual stream, and stay."""
    model = build(BLOCKS, name)
    small = compact(model, make_plan(model, "nothing"))
    folded = any(isinstance(m, nn.Identity) for m in small.modules())
    assert folded == ("post-norm" not in name)
    assert find_units(small) == {}


class PostNorm(ConformerEncoderLayer):
    """Takes the residual behind its first norm."""

    def forward(self, x, pos_embs):
        x = self.norm1(x + 0.5 * self.ffn_module1(x))
        return x + self.mha_layer(x, x, x, pos_embs=pos_embs)[0]


def test_a_block_with_a_forward_of_its_own_keeps_its_norms():
    block = PostNorm(d_model=16, d_ffn=24, nhead=2, kernel_size=3).eval()
    nn.init.constant_(block.norm1.norm.weight, 2.0)
    plan = PruningPlan({"mha_layer.value": torch.zeros(16).bool()})
    x = torch.randn(2, 7, 16)
    positions = RelPosEncXL(16)(x)
    masked = apply_masks(copy.deepcopy(block), plan)
    expected = masked(x, pos_embs=positions)
    torch.testing.assert_close(
        compact(block, plan)(x, pos_embs=positions), expected
    )


def test_a_module_of_one_stage_in_place_of_a_feed_forward_is_left_alone():
    encoder = ConformerEncoder(1, 16, 32, 2, kernel_size=3)
    encoder.layers[0].ffn_module1 = nn.Sequential(nn.Identity())
    plan = PruningPlan({"layers.0.ffn_module2": torch.zeros(32).bool()})
    assert len(compact(encoder, plan).layers[0].ffn_module1) == 1
