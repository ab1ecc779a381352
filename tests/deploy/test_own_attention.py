"""Attention that can be traced and quantised."""

import torch
from speechbrain.nnet.attention import RelPosEncXL

from speechbrain_neuronprune import AdaptiveDropout
from speechbrain_neuronprune.deploy.own_attention import own_attention
from speechbrain_neuronprune.layers.unit_attention import UnitAttention


def test_attention_becomes_ours_and_computes_the_same(make_encoder):
    encoder, x = make_encoder(), torch.randn(2, 9, 16)
    positions = RelPosEncXL(16)(x)
    before = encoder(x, pos_embs=positions)[0]
    own_attention(encoder)
    for block in encoder.layers:
        assert isinstance(block.mha_layer, UnitAttention)
    after = encoder(x, pos_embs=positions)[0]
    torch.testing.assert_close(after, before)


def test_attention_whose_units_cannot_go_stays_as_it_is(partly_gated):
    encoder = partly_gated(AdaptiveDropout)
    before = [block.mha_layer for block in encoder.layers]
    own_attention(encoder)
    assert [block.mha_layer for block in encoder.layers] == before
