"""Taps: which layers are listened to, and what is heard.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch
from speechbrain.lobes.models.transformer.TransformerASR import TransformerASR
from torch import nn

from speechbrain_neuronprune.errors import SaliencyError, UnitsError
from speechbrain_neuronprune.saliency import rank_neurons
from speechbrain_neuronprune.saliency.taps import find_taps, tapped


def test_every_fully_connected_group_has_a_tap(make_stack):
    stack = make_stack(5, 7, 6, 4)
    first, second = find_taps(stack)
    assert (first.name, first.inputs, first.units) == ("0", 5, 7)
    assert (second.name, second.inputs, second.units) == ("2", 7, 6)
    assert first.producer is stack[0]
    assert first.consumer is second.producer is stack[2]
    assert second.consumer is stack[4]


def test_feed_forward_modules_see_time_first(make_encoder, make_stack):
    taps = find_taps(make_encoder(num_layers=1))
    assert [tap.name for tap in taps] == [
        "layers.0.ffn_module1",
        "layers.0.ffn_module2",
    ]
    assert all(tap.time_first for tap in taps)
    assert not any(tap.time_first for tap in find_taps(make_stack(3, 4, 2)))


def test_targets_choose_groups(make_encoder, make_stack):
    assert [tap.name for tap in find_taps(make_stack(5, 7, 6, 4), "2")] == ["2"]
    with pytest.raises(UnitsError, match="of kind conv"):
        find_taps(make_encoder(num_layers=1), ["ffn", "conv"])
    with pytest.raises(UnitsError, match="'decoder' matches no unit group"):
        find_taps(make_stack(5, 7, 4), "decoder")


def test_a_model_without_such_units_is_refused():
    with pytest.raises(SaliencyError, match="Linear has no fully connected"):
        find_taps(nn.Linear(3, 3))


def test_both_sides_of_the_units_are_heard(make_stack):
    stack = make_stack(5, 7, 6, 4)
    heard = {}

    def receive(tap, inputs, units):
        heard[tap.name] = (inputs, units)

    x = torch.randn(2, 3, 5, dtype=torch.float64)
    with tapped(find_taps(stack), receive), torch.no_grad():
        stack(x)
    assert list(heard) == ["0", "2"]
    assert torch.equal(heard["0"][0], x)
    assert torch.equal(heard["0"][1], stack[:2](x))
    assert torch.equal(heard["2"][0], stack[:2](x))
    assert torch.equal(heard["2"][1], stack[:4](x))


def test_a_consumer_on_its_own_is_not_heard(make_stack):
    """Without the producer's input there is nothing to correlate with."""
    stack = make_stack(5, 7, 4)
    heard = []
    with tapped(find_taps(stack), lambda *parts: heard.append(parts)):
        stack[2](torch.randn(2, 7, dtype=torch.float64))
    assert heard == []


def test_activations_can_be_differentiated_by_without_parameters(make_stack):
    stack = make_stack(5, 7, 6, 4).requires_grad_(False)
    heard = []
    x = torch.randn(2, 5, dtype=torch.float64)
    with tapped(find_taps(stack), lambda *p: heard.append(p[2]), True):
        output = stack(x)
    gradients = torch.autograd.grad(output.sum(), heard)
    assert [g.shape for g in gradients] == [(2, 7), (2, 6)]
    assert torch.allclose(gradients[1], stack[4].weight.sum(0).expand(2, 6))


def test_hooks_are_gone_afterwards(make_stack):
    stack = make_stack(5, 7, 4)
    with pytest.raises(RuntimeError), tapped(find_taps(stack), print):
        stack(torch.randn(2, 3))
    assert not any(module._forward_pre_hooks for module in stack.modules())


def test_a_decoder_hears_tokens_of_which_no_lengths_are_known():
    model = TransformerASR(
        tgt_vocab=6,
        input_size=4,
        d_model=8,
        nhead=2,
        num_encoder_layers=1,
        num_decoder_layers=1,
        d_ffn=8,
    )
    tokens = torch.ones(2, 3, dtype=torch.long)

    def forward(model, x, lengths):
        return model(x, tokens[: len(x)], lengths)

    speech = torch.randn(2, 20, 4)
    padded = (speech, torch.tensor([1.0, 0.5]))
    with pytest.raises(SaliencyError, match="decoder and sees tokens"):
        rank_neurons(model, [padded], "activation", "ffn", forward=forward)
    encoder = ["encoder.*pos_ffn"]
    assert rank_neurons(model, [padded], "activation", encoder, forward=forward)
    alone = [(speech[:1], torch.ones(1))]
    scores = rank_neurons(model, alone, "activation", "ffn", forward=forward)
    assert any(name.startswith("decoder") for name in scores)
