"""A recogniser cut in two computes what the whole one does.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy

import pytest
import torch
from speechbrain.nnet.containers import LengthsCapableSequential
from torch import nn

from speechbrain_neuronprune.analysis.network import (
    CutRecogniser,
    first_to_run,
    remembered,
    tail_of,
)
from speechbrain_neuronprune.errors import UnitsError

GROUPS = ["acoustic_model.fc.linear2"]


@pytest.fixture
def cut(recogniser):
    return CutRecogniser(recogniser, GROUPS)


def hear(frames=(16000, 9000)):
    wavs = torch.randn(len(frames), max(frames)) / 10
    for wav, size in zip(wavs, frames, strict=True):
        wav[size:] = 0
    return wavs, torch.tensor(frames) / max(frames)


def test_both_parts_make_the_whole(cut, recogniser):
    wavs, lengths = hear()
    expected = recogniser.encode_batch(wavs, lengths)
    x = cut.before(wavs, lengths)
    assert x.shape[-1] == 20  # the features
    assert torch.equal(cut.after(x, lengths), expected)


def test_the_cut_is_before_the_first_chosen_stage(recogniser):
    named = CutRecogniser(recogniser, ["log_softmax.x", *GROUPS])
    assert list(recogniser.mods.encoder)[named.start] == "acoustic_model"
    last = CutRecogniser(recogniser, ["log_softmax.x"])
    wavs, lengths = hear()
    assert last.before(wavs, lengths).shape[-1] == 4  # activations
    assert torch.equal(
        last.after(last.before(wavs, lengths), lengths),
        recogniser.encode_batch(wavs, lengths),
    )


def test_transcripts_are_those_of_the_recogniser(cut, recogniser):
    wavs, lengths = hear()
    texts, _ = recogniser.transcribe_batch(wavs, lengths)
    found = cut.transcribe(cut.before(wavs, lengths), lengths)
    assert found == [text.split() for text in texts]
    assert sum(map(len, found)) > 0


def test_the_recogniser_is_left_as_it_was(cut, recogniser):
    encoder = recogniser.mods.encoder
    wavs, lengths = hear()
    cut.transcribe(cut.before(wavs, lengths), lengths)
    assert recogniser.mods.encoder is encoder
    with pytest.raises(RuntimeError):
        cut.transcribe(torch.zeros(1, 50, 3), torch.ones(1))
    assert recogniser.mods.encoder is encoder


def test_statistics_of_features_are_not_updated(recogniser):
    own = copy.deepcopy(recogniser)
    own.mods.encoder.train()
    normalize = own.mods.encoder.normalize
    count = normalize.count
    cut = CutRecogniser(own, GROUPS)
    cut.before(*hear())
    assert normalize.count == count
    assert normalize.training


def test_stages_that_return_tuples_give_their_first_element():
    class Pair(nn.Module):
        def forward(self, x):
            return x + 1, "ignored"

    class Recogniser:
        device = "cpu"
        mods = nn.ModuleDict(
            {"encoder": LengthsCapableSequential(one=Pair(), two=Pair())}
        )

    cut = CutRecogniser(Recogniser(), ["two.fc"])
    x = cut.before(torch.zeros(1, 3), torch.ones(1))
    assert x.tolist() == [[1, 1, 1]]
    assert cut.after(x, torch.ones(1)).tolist() == [[2, 2, 2]]


def test_an_encoder_that_is_no_chain():
    class Recogniser:
        mods = nn.ModuleDict({"encoder": nn.Linear(2, 2)})

    with pytest.raises(UnitsError, match="encoder is a Linear, not a Lengths"):
        CutRecogniser(Recogniser(), ["encoder"])


# ---------------------------------------------------------------- remembering


def test_only_the_first_call_is_remembered():
    layer, kept = nn.Linear(2, 2), []
    x = torch.randn(3, 2)
    with remembered(layer, kept):
        first, second = layer(x), layer(x + 1)
    assert torch.equal(first, layer(x))
    assert torch.equal(second, layer(x + 1))
    assert len(kept) == 1
    with remembered(layer, kept):
        assert torch.equal(layer(x * 0), first)
        assert torch.equal(layer(x * 0), layer.bias.expand(3, 2))
    assert torch.equal(layer(x * 0), layer.bias.expand(3, 2))


def test_stages_that_work_in_place_do_no_harm():
    model = nn.Sequential(nn.Linear(2, 5), nn.SiLU(inplace=True))
    x, kept = torch.randn(3, 2), []
    expected = model(x)
    for _ in range(3):
        with remembered(model[0], kept):
            assert torch.equal(model(x), expected)


def test_the_layer_recovers_from_exceptions():
    layer = nn.Linear(2, 2)
    with pytest.raises(RuntimeError), remembered(layer, []):
        layer(torch.zeros(3))
    assert "forward" not in vars(layer)


def test_the_first_layer_is_that_which_runs_first():
    layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
    order = (1, 2, 1)

    def run():
        x = torch.ones(2)
        for place in order:
            x = layers[place](x)

    assert first_to_run(list(layers), run) is layers[1]
    assert not any(layer._forward_pre_hooks for layer in layers)


# ----------------------------------------------------------------------- tails


class Ends(nn.Module):
    """A convolution, a chain, and something behind the chain or not."""

    def __init__(self, behind=lambda y, x: y, times=1):
        super().__init__()
        self.conv = nn.Conv1d(3, 3, 1)
        self.fc = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 4))
        self.behind, self.times = behind, times

    def forward(self, x):
        y = self.conv(x)
        for _ in range(self.times):
            y = self.fc(y)
        return self.behind(y, x)


def tail(network, layer):
    return tail_of(network, layer, lambda: network(torch.randn(2, 3, 4)))


def test_a_chain_at_the_end_is_the_tail():
    network = Ends()
    assert tail(network, network.fc[0]) is network.fc
    assert not network.fc._forward_hooks and not network._forward_hooks


@pytest.mark.parametrize(
    "changes",
    [
        {"behind": lambda y, x: y + x},
        {"behind": lambda y, x: y * 1},
        {"behind": lambda y, x: (y, x)},
        {"times": 2},
    ],
)
def test_a_chain_in_the_middle_is_not(changes):
    network = Ends(**changes)
    assert tail(network, network.fc[0]) is network


def test_a_chain_that_begins_elsewhere_is_not():
    network = Ends()
    assert tail(network, network.fc[2]) is network


def test_a_tail_stands_in_for_the_first_stage(cut, recogniser):
    wavs, lengths = hear()
    network = recogniser.mods.encoder.acoustic_model
    x, kept = cut.before(wavs, lengths), []
    with remembered(network.fc.linear1, kept):
        expected = cut.after(x, lengths)
    with remembered(network.fc.linear1, kept):
        assert torch.equal(cut.after(x, lengths, network.fc), expected)
    assert cut.first_stage is network
