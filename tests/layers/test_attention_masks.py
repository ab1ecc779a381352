"""Masks over scores: as if the scores were filled."""

import copy

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from speechbrain.lobes.models.transformer.Conformer import ConformerEncoder
from speechbrain.lobes.models.transformer.TransformerASR import (
    make_transformer_src_mask,
)
from speechbrain.nnet.attention import RelPosEncXL
from speechbrain.utils.dynamic_chunk_training import DynChunkTrainConfig

from speechbrain_neuronprune import (
    RetentionSchedule,
    attach_adaptive_dropout,
    use_fast_layers,
)
from speechbrain_neuronprune.layers.attention_masks import Masks

HEADS, BATCH, QUERIES, KEYS = 3, 2, 4, 5


def shapes():
    sides = [st.sampled_from(pair) for pair in [(1, HEADS), (1, BATCH)]]
    return st.tuples(*sides, st.sampled_from((1, QUERIES)), st.just(KEYS))


@st.composite
def several_masks(draw):
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    masks = []
    for shape in draw(st.lists(shapes(), max_size=3)):
        numbers = torch.rand(shape, generator=generator)
        masks.append(numbers < 0.6 if draw(st.booleans()) else numbers)
    return masks


@settings(deadline=None)
@given(several_masks())
def test_weights_are_those_of_filled_scores(masks):
    scores = torch.randn(HEADS, BATCH, QUERIES, KEYS)
    expected = scores
    for mask in masks:
        if mask.dtype == torch.bool:
            expected = expected.masked_fill(mask, -float("inf"))
        else:
            expected = expected + mask
    expected = expected.softmax(-1).nan_to_num(0.0)
    ours = Masks.of(masks)
    weights = ours.clear(ours.close(scores).softmax(-1))
    torch.testing.assert_close(weights, expected)


@settings(deadline=None)
@given(several_masks(), st.integers(0, QUERIES - 1))
def test_a_block_of_queries_has_its_own_part(masks, start):
    scores = torch.randn(HEADS, BATCH, QUERIES, KEYS)
    rows, ours = slice(start, QUERIES), Masks.of(masks)
    block = ours.of_queries(rows)
    closed = block.close(scores[:, :, rows])
    assert closed.equal(ours.close(scores)[:, :, rows])
    weights = block.clear(closed.softmax(-1))
    expected = ours.clear(ours.close(scores).softmax(-1))[:, :, rows]
    torch.testing.assert_close(weights, expected)


@pytest.mark.parametrize("blind", [False, True])
def test_only_queries_without_keys_are_cleared(blind):
    mask = torch.zeros(1, 1, QUERIES, KEYS, dtype=torch.bool)
    mask[..., 1, : KEYS if blind else KEYS - 1] = True
    masks = Masks.of([mask])
    assert (masks.blind is not None) == blind
    weights = masks.clear(masks.close(torch.zeros(1, 1, QUERIES, KEYS)))
    assert weights[0, 0, 1].eq(0.0).all() == blind


def test_no_mask_leaves_scores_alone():
    scores = torch.randn(1, 1, 2, 2)
    masks = Masks.of([])
    assert masks.close(scores) is scores and masks.clear(scores) is scores


def test_the_gradient_of_a_closed_score_is_zero():
    scores = torch.randn(1, 1, 1, 3, requires_grad=True)
    mask = torch.tensor([[[[False, True, False]]]])
    masks = Masks.of([mask])
    masks.close(scores).softmax(-1)[..., 0].sum().backward()
    assert scores.grad[..., 1] == 0 and scores.grad.isfinite().all()


def test_gradients_of_blind_queries_are_zero():
    scores = torch.randn(1, 1, 2, 3, requires_grad=True)
    masks = Masks.of([torch.tensor([[[[True] * 3, [False, True, False]]]])])
    weights = masks.clear(masks.close(scores).softmax(-1))
    weights[..., 0].sum().backward()
    assert weights[0, 0, 0].eq(0.0).all()
    assert scores.grad[0, 0, 0].eq(0.0).all()
    assert scores.grad[0, 0, 1].isfinite().all() and scores.grad.any()


@pytest.mark.parametrize("gated", [False, True])
def test_chunked_training_has_the_gradients_of_the_stock_encoder(gated):
    """Chunks in padding, with little left context, see no key at all."""
    stock = ConformerEncoder(1, 16, 32, 2, kernel_size=3, dropout=0.0)
    stock.eval()
    ours = use_fast_layers(copy.deepcopy(stock))
    if gated:
        schedule = RetentionSchedule(c_start=50.0)
        ours = attach_adaptive_dropout(copy.deepcopy(stock), schedule).eval()
    x = torch.randn(2, 40, 16)
    padding = torch.arange(40)[None] >= torch.tensor([[40], [14]])
    config = DynChunkTrainConfig(8, 2)
    chunks = make_transformer_src_mask(x, dynchunktrain_config=config)
    gradients = []
    for encoder in (stock, ours):
        out, _ = encoder(
            x,
            src_mask=chunks,
            src_key_padding_mask=padding,
            pos_embs=RelPosEncXL(16)(x),
            dynchunktrain_config=config,
        )
        out[~padding].square().sum().backward()
        gradients.append({n: p.grad for n, p in encoder.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(
            gradients[1][name], gradient, rtol=1e-3, atol=1e-3, msg=name
        )
