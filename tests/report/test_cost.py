"""Tests of the cost measurement.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json

import pytest
import torch
from speechbrain.nnet.attention import RelPosEncXL
from torch import nn

from speechbrain_neuronprune import (
    RetentionSchedule,
    attach_adaptive_dropout,
)
from speechbrain_neuronprune.report.cost import (
    MEGABYTE,
    compare_latency,
    measure_cost,
    paired_ratio,
)

WIDTH, FRAMES, KERNEL, FFN = 16, 50, 5, 24


def _example(attention):
    source = torch.randn(1, FRAMES, WIDTH)
    positions = None
    if attention == "RelPosMHAXL":
        positions = RelPosEncXL(WIDTH)(source)
    return {"src": source, "pos_embs": positions}


def _conformer_macs(attention, layers=2):
    """Count by hand: projections, feed-forward, convolution, attention."""
    linear = 4 * WIDTH * FFN + 4 * WIDTH**2 + 3 * WIDTH**2 + KERNEL * WIDTH
    products = 2 * FRAMES**2 * WIDTH
    if attention == "RelPosMHAXL":
        positions = 2 * FRAMES - 1
        products += positions * WIDTH**2 + FRAMES * positions * WIDTH
    return layers * (FRAMES * linear + products)


@pytest.mark.parametrize("attention", ["RelPosMHAXL", "RoPEMHA", "regularMHA"])
def test_macs_of_a_conformer_are_those_counted_by_hand(make_encoder, attention):
    encoder = make_encoder(attention_type=attention)
    cost = measure_cost(encoder, _example(attention), rounds=1, warmup=0)
    assert cost.macs == _conformer_macs(attention)


@pytest.mark.parametrize("attention", ["RelPosMHAXL", "RoPEMHA"])
def test_gates_count_neither_as_parameters_nor_as_macs(make_encoder, attention):
    encoder = make_encoder(attention_type=attention)
    stock = measure_cost(encoder, _example(attention), rounds=1)
    attach_adaptive_dropout(encoder, RetentionSchedule())
    gated = measure_cost(encoder, _example(attention), rounds=1)
    assert gated.parameters == stock.parameters
    assert gated.macs == stock.macs


def test_macs_of_fused_layers():
    """PyTorch fuses these where it can, out of the flop counter's sight."""
    attention = nn.MultiheadAttention(WIDTH, 2, batch_first=True)
    source = torch.randn(1, FRAMES, WIDTH)
    cost = measure_cost(attention, (source,) * 3, rounds=1)
    assert cost.macs == 4 * FRAMES * WIDTH**2 + 2 * FRAMES**2 * WIDTH
    lstm = nn.LSTM(WIDTH, 8, batch_first=True)
    cost = measure_cost(lstm, source, rounds=1)
    assert cost.macs == FRAMES * 4 * 8 * (WIDTH + 8)


def test_switches_of_pytorch_are_set_back():
    measure_cost(nn.Linear(2, 2), torch.rand(1, 2), rounds=1)
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch.backends.mkldnn.enabled
    assert torch.backends.cudnn.enabled
    assert torch.backends.cuda.flash_sdp_enabled()


def test_depthwise_convolution():
    layer = nn.Conv1d(6, 6, 5, padding=2, groups=6)
    assert measure_cost(layer, torch.rand(1, 6, 40), rounds=1).macs == 1200


def test_peak_memory_of_a_chain():
    """Weights and input, and of the chain never more than two outputs."""
    size = 1000
    chain = nn.Sequential(*(nn.ReLU() for _ in range(4)), nn.Linear(size, 1))
    cost = measure_cost(chain, torch.rand(1, size), rounds=1)
    expected = 4 * (size + 1) + 4 * size + 2 * 4 * size
    assert cost.peak_memory_mb * MEGABYTE == pytest.approx(expected)


def test_views_and_changes_in_place_take_no_memory():
    class Views(nn.Module):
        def forward(self, x):
            x = x + 1
            return x.view(-1).add_(1).split(10)

    cost = measure_cost(Views(), torch.rand(100, 10), rounds=1)
    assert cost.peak_memory_mb * MEGABYTE == pytest.approx(2 * 4 * 1000)


def test_real_time_factor_is_latency_over_duration():
    model, example = nn.Linear(2, 2), torch.rand(1, 2)
    cost = measure_cost(model, example, seconds=2.0, rounds=3)
    assert cost.latency_ms > 0
    assert cost.real_time_factor == pytest.approx(cost.latency_ms / 2000)
    assert measure_cost(model, example, rounds=1).real_time_factor is None


def test_examples_and_calls():
    """A tensor, a tuple, keywords, and another method than forward."""
    model, x = nn.Bilinear(3, 4, 5), torch.rand(2, 3)
    y = torch.rand(2, 4)
    by_position = measure_cost(model, (x, y), rounds=1)
    by_name = measure_cost(model, {"input1": x, "input2": y}, rounds=1)
    assert by_position.parameters == by_name.parameters == 65
    linear = nn.Linear(3, 3)
    twice = measure_cost(linear, x, rounds=1, call=lambda a: linear(linear(a)))
    assert twice.macs == 2 * measure_cost(linear, x, rounds=1).macs


def test_modes_are_restored_module_by_module():
    model = nn.Sequential(nn.Dropout(), nn.Dropout())
    model[0].eval()
    seen = []
    model[1].register_forward_hook(lambda m, *_: seen.append(m.training))
    measure_cost(model, torch.rand(2), rounds=1)
    assert not any(seen)
    assert [m.training for m in model.modules()] == [True, False, True]


def test_modes_are_restored_after_an_error():
    model = nn.Linear(2, 2)
    with pytest.raises(RuntimeError):
        measure_cost(model, torch.rand(3))
    assert model.training


@pytest.mark.parametrize("attention", ["RelPosMHAXL", "RoPEMHA"])
def test_a_measured_model_can_still_be_trained(make_encoder, attention):
    """Rotary embeddings are cached; a cache filled in inference mode would
    break the backward pass."""
    encoder = make_encoder(attention_type=attention)
    example = _example(attention)
    measure_cost(encoder, example, rounds=1)
    encoder.train()(**example)[0].sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())


def test_as_dict_is_json():
    cost = measure_cost(nn.Linear(2, 2), torch.rand(1, 2), rounds=1)
    row = json.loads(json.dumps(cost.as_dict()))
    assert row == {
        "parameters": 6,
        "macs": 4,
        "latency_ms": cost.latency_ms,
        "real_time_factor": None,
        "peak_memory_mb": cost.peak_memory_mb,
    }


def test_turns_are_interleaved_and_rotate():
    calls = []
    models = {name: lambda name=name: calls.append(name) for name in "abc"}
    times = compare_latency(models, rounds=4, warmup=1)
    assert "".join(calls) == "abc" + "abc" + "bca" + "cab" + "abc"
    assert {name: len(values) for name, values in times.items()} == {
        "a": 4,
        "b": 4,
        "c": 4,
    }
    assert all(value >= 0 for values in times.values() for value in values)


def test_another_clock():
    ticks = iter(range(100))
    times = compare_latency({"a": list}, rounds=2, clock=lambda: next(ticks))
    assert times == {"a": [1000.0, 1000.0]}


def test_no_models_take_no_time():
    assert compare_latency({}, rounds=3) == {}


def test_paired_ratio_ignores_slow_phases():
    times = {"slow": [2.0, 20.0, 2.0, 9.0], "fast": [1.0, 10.0, 1.0, 1.0]}
    assert paired_ratio(times, "slow", "fast") == 2.0
