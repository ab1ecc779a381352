"""Attaching changes nothing but the gates."""

import copy

import pytest
import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.nnet.attention import RelPosEncXL
from torch import nn

from speechbrain_neuronprune import (
    RetentionSchedule,
    adaptive_dropouts,
    attach_adaptive_dropout,
    find_units,
)
from speechbrain_neuronprune.attach import retention_logits
from speechbrain_neuronprune.errors import UnitsError

ATTENTION = ["RelPosMHAXL", "RoPEMHA", "regularMHA"]


def forward(encoder, x, attention):
    positions = None
    if attention == "RelPosMHAXL":
        positions = RelPosEncXL(x.shape[-1])(x)
    return encoder(x, pos_embs=positions)[0]


@pytest.mark.parametrize("attention", ATTENTION)
def test_open_gates_leave_the_stock_output(make_encoder, attention):
    stock = make_encoder(attention_type=attention)
    gated = attach_adaptive_dropout(copy.deepcopy(stock), RetentionSchedule())
    x = torch.randn(2, 30, 16)
    one, two = (forward(m, x, attention) for m in (stock, gated))
    torch.testing.assert_close(one, two)


@pytest.mark.parametrize("attention", ATTENTION)
def test_stock_checkpoints_load_before_and_after(make_encoder, attention):
    stock = make_encoder(attention_type=attention)
    weights = stock.state_dict()
    gated = attach_adaptive_dropout(
        make_encoder(attention_type=attention), RetentionSchedule()
    )
    gated.load_state_dict(weights)  # strict
    assert set(weights) <= set(gated.state_dict())
    x = torch.randn(1, 12, 16)
    one, two = (forward(m, x, attention) for m in (stock, gated))
    torch.testing.assert_close(one, two)


def test_a_gated_checkpoint_must_be_complete(make_encoder):
    gated = attach_adaptive_dropout(make_encoder(), RetentionSchedule())
    weights = gated.state_dict()
    del weights[next(key for key in weights if key.endswith(".logits"))]
    with pytest.raises(RuntimeError, match="logits"):
        gated.load_state_dict(weights)


@pytest.mark.parametrize("attention", ATTENTION)
def test_every_gate_learns(make_encoder, attention):
    schedule = RetentionSchedule(steps=2)
    gated = attach_adaptive_dropout(
        make_encoder(attention_type=attention), schedule
    ).train()
    schedule.advance(1)
    forward(gated, torch.randn(3, 20, 16), attention).square().sum().backward()
    gates = adaptive_dropouts(gated)
    assert list(gates) == list(find_units(gated))
    for name, gate in gates.items():
        assert gate.logits.grad.abs().sum() > 0, name


@pytest.mark.parametrize("attention", ATTENTION)
def test_training_masks_differ_between_utterances_not_frames(
    make_encoder, attention
):
    """Equal utterances in one batch get different draws."""
    schedule = RetentionSchedule(steps=1)
    gated = attach_adaptive_dropout(
        make_encoder(attention_type=attention), schedule
    ).train()
    schedule.advance(1)
    x = torch.randn(1, 20, 16).repeat(2, 1, 1)
    out = forward(gated, x, attention)
    assert not torch.allclose(out[0], out[1])


def test_chunked_training_repeats_the_draw_for_every_chunk(make_encoder):
    from speechbrain.utils.dynamic_chunk_training import DynChunkTrainConfig

    schedule = RetentionSchedule(0.0, 0.0, steps=1)
    module = make_encoder(num_layers=1).layers[0].convolution_module
    gated = attach_adaptive_dropout(module, schedule).train()
    out = gated(
        torch.randn(3, 21, 16), dynchunktrain_config=DynChunkTrainConfig(4)
    )
    assert out.shape == (3, 21, 16)
    assert torch.isfinite(out).all()


def test_attaching_twice_replaces_the_gates(make_encoder):
    gated = attach_adaptive_dropout(make_encoder(), RetentionSchedule())
    keys = list(gated.state_dict())
    attach_adaptive_dropout(gated, RetentionSchedule())
    assert list(gated.state_dict()) == keys


def test_only_the_targets_are_gated(make_encoder):
    gated = attach_adaptive_dropout(
        make_encoder(), RetentionSchedule(), targets=["ffn"]
    )
    assert all("ffn" in name for name in adaptive_dropouts(gated))
    assert len(list(retention_logits(gated))) == 4


def test_a_model_without_units_is_refused():
    with pytest.raises(UnitsError, match="Linear holds no units"):
        attach_adaptive_dropout(nn.Linear(2, 2), RetentionSchedule())


def test_yaml_attaches(tmp_path):
    model = "speechbrain.lobes.models.transformer.Conformer.ConformerEncoder"
    hparams = load_hyperpyyaml(
        f"""
schedule: !new:speechbrain_neuronprune.RetentionSchedule
    steps: 1000
    hold: 100
encoder: !apply:speechbrain_neuronprune.attach_adaptive_dropout
    model: !new:{model}
        num_layers: 1
        d_model: 16
        d_ffn: 24
        nhead: 2
    schedule: !ref <schedule>
"""
    )
    gates = adaptive_dropouts(hparams["encoder"])
    assert len(gates) == 5
    assert all(g.schedule is hparams["schedule"] for g in gates.values())


def test_bfloat16_autocast_trains(make_encoder):
    schedule = RetentionSchedule(steps=1)
    gated = attach_adaptive_dropout(make_encoder(), schedule).train()
    schedule.advance(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = forward(gated, torch.randn(2, 20, 16), "RelPosMHAXL")
    out.float().sum().backward()
    for logits in retention_logits(gated):
        assert logits.grad.dtype == torch.float32
        assert torch.isfinite(logits.grad).all()


def test_gates_need_a_schedule():
    chain = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    with pytest.raises(UnitsError, match="schedule None"):
        attach_adaptive_dropout(chain, None)
