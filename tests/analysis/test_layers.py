"""The layers that are looked at.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
from speechbrain.nnet.linear import Linear
from torch import nn

from speechbrain_neuronprune.analysis.layers import choose_layers, layer_sets
from speechbrain_neuronprune.errors import SaliencyError, UnitsError

NAMES = [f"acoustic_model.fc.linear{n}" for n in (1, 2, 3)]


@pytest.fixture
def encoder(recogniser):
    return recogniser.mods.encoder


def test_all_fully_connected_layers_with_a_successor(encoder):
    taps = choose_layers(encoder, None)
    assert list(taps) == NAMES
    assert taps[NAMES[0]].producer is encoder.acoustic_model.fc.linear1
    assert taps[NAMES[0]].consumer is encoder.acoustic_model.fc.linear2


def test_patterns(encoder):
    assert list(choose_layers(encoder, "*linear[13]")) == [NAMES[0], NAMES[2]]
    assert list(choose_layers(encoder, ("fc",))) == NAMES


def test_feed_forward_modules_of_a_conformer(make_asr):
    names = list(choose_layers(make_asr(), None))
    assert names == [
        f"encoder.layers.{block}.ffn_module{number}"
        for block in (0, 1)
        for number in (1, 2)
    ]


@pytest.mark.parametrize("layers", ["acoustic_model.fc.output", ("fc", "x")])
def test_a_layer_without_successor(encoder, layers):
    if layers == ("fc", "x"):
        encoder = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
        layers = ("fc", "2")
    with pytest.raises(UnitsError, match="has no fully connected successor"):
        choose_layers(encoder, layers)


def test_a_wrapped_layer_without_successor():
    model = nn.Sequential(
        nn.Linear(2, 3), nn.ReLU(), Linear(input_size=3, n_neurons=2)
    )
    with pytest.raises(UnitsError, match="layer 2 has no .* choose among 0"):
        choose_layers(model, "2")


def test_a_layer_that_does_not_exist(encoder):
    with pytest.raises(UnitsError, match="'dnn' matches no unit group"):
        choose_layers(encoder, "dnn")


def test_units_that_are_not_fully_connected(make_asr):
    with pytest.raises(UnitsError, match="is of kind conv"):
        choose_layers(make_asr(), "conv")


def test_a_model_without_neurons():
    with pytest.raises(SaliencyError, match="has no fully connected units"):
        choose_layers(nn.Sequential(nn.Linear(2, 3)), None)


def test_each_alone_and_some_together():
    assert layer_sets("abc", "ac") == [("a",), ("b",), ("c",), ("a", "c")]
    assert layer_sets("a", "a") == [("a",)]


def test_together_with_what_is_not_analysed():
    with pytest.raises(UnitsError, match="group b is to be .* among a, c"):
        layer_sets("ac", "ab")
