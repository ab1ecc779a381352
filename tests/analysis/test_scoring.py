"""Errors are those of the masked recogniser, however they are computed.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speechbrain_neuronprune import PruningPlan
from speechbrain_neuronprune.analysis import scoring
from speechbrain_neuronprune.analysis.layers import choose_layers
from speechbrain_neuronprune.analysis.network import CutRecogniser
from speechbrain_neuronprune.analysis.removals import Removal
from speechbrain_neuronprune.analysis.scoring import (
    Scorer,
    count_errors,
    reference_lengths,
)
from speechbrain_neuronprune.corpus.speech import Speech, Utterance
from speechbrain_neuronprune.fingerprint import fingerprint
from speechbrain_neuronprune.layers import get_gate
from speechbrain_neuronprune.masking import ablate
from speechbrain_neuronprune.units import find_units

FIRST, SECOND, THIRD = (f"acoustic_model.fc.linear{n}" for n in (1, 2, 3))
WORDS = st.lists(st.sampled_from(["GO", "STOP", "ON"]), max_size=4)


def edits(one, two):
    """Levenshtein's distance, in plain loops."""
    row = list(range(len(two) + 1))
    for i, left in enumerate(one, start=1):
        above, row[0] = row[0], i
        for j, right in enumerate(two, start=1):
            above, row[j] = (
                row[j],
                min(above + (left != right), row[j] + 1, row[j - 1] + 1),
            )
    return row[-1]


def spoken(words):
    return Utterance("u", Path("u.flac"), tuple(words), 100, 100)


@given(st.lists(st.tuples(WORDS.filter(bool), WORDS), min_size=1, max_size=3))
def test_errors_are_edit_distances(pairs):
    utterances = [spoken(words) for words, _ in pairs]
    counts = count_errors(utterances, [heard for _, heard in pairs])
    assert counts.words == [edits(words, heard) for words, heard in pairs]
    assert counts.characters == [
        edits(" ".join(words), " ".join(heard)) for words, heard in pairs
    ]
    words, characters = reference_lengths(Speech("dev", tuple(utterances)))
    assert words == [len(words) for words, _ in pairs]
    assert characters == [len(" ".join(words)) for words, _ in pairs]


def removal(ablation="zero", **shares):
    generator = torch.Generator().manual_seed(3)
    keep = {
        name: torch.rand(25, generator=generator) >= share
        for name, share in shares.items()
    }
    return Removal(
        "random",
        layers=tuple(shares),
        ablation=ablation,
        plan=PruningPlan(keep),
    )


REMOVALS = {
    "nothing": Removal("none"),
    "first": removal(**{FIRST: 0.4}),
    "last": removal(**{THIRD: 0.5}),
    "all": removal(**{FIRST: 0.3, SECOND: 0.3, THIRD: 0.3}),
    "means": removal("mean", **{FIRST: 0.3, SECOND: 0.3}),
}


@pytest.fixture(scope="module")
def means():
    return {FIRST: torch.rand(25), SECOND: torch.rand(25)}


@pytest.fixture
def make_scorer(recogniser, speech, means):
    def make(layers=None):
        taps = choose_layers(recogniser.mods.encoder, layers)
        producers = [tap.producer for tap in taps.values()]
        cut = CutRecogniser(recogniser, taps)
        return Scorer(cut, speech("dev"), producers, means)

    return make


def plainly(recogniser, speech, one, means):
    """The whole recogniser, ablated for good, batch by batch."""
    own = copy.deepcopy(recogniser)
    given_means = means if one.ablation == "mean" else None
    ablate(own.mods.encoder, one.plan, given_means)
    words = []
    for batch in speech.batches(own.audio_normalizer):
        texts, _ = own.transcribe_batch(batch.wavs, batch.lengths)
        words += [text.split() for text in texts]
    return count_errors(speech.utterances, words)


@pytest.mark.parametrize("layers", [None, "*linear[23]", ("*3", "*1", "*2")])
def test_shortcuts_change_nothing(
    make_scorer, recogniser, speech, means, layers, monkeypatch
):
    monkeypatch.setattr(Speech.batches, "__defaults__", (1.0,))
    scorer = make_scorer(layers)
    assert len(scorer.batches) > 1
    chosen = choose_layers(recogniser.mods.encoder, layers)
    for one in REMOVALS.values():
        if set(one.layers) <= set(chosen):
            expected = plainly(recogniser, speech("dev"), one, means)
            assert scorer.count(one) == expected
            assert scorer.count(one) == expected


def test_removals_make_a_difference(make_scorer):
    scorer = make_scorer()
    found = {name: scorer.count(one) for name, one in REMOVALS.items()}
    assert len({str(counts) for counts in found.values()}) >= 3


def test_the_first_layer_is_computed_once(make_scorer):
    scorer = make_scorer()
    network = scorer.cut.encoder.acoustic_model
    calls = []
    handle = network.time_conv.register_forward_hook(lambda *_: calls.append(1))
    for one in REMOVALS.values():
        scorer.count(one)
    handle.remove()
    [outputs] = [batch.outputs for batch in scorer.batches]
    assert outputs[0].shape[-1] == 25
    assert scorer.first is network.fc.linear1
    assert scorer.tail is network.fc
    assert len(calls) == 1


def test_without_the_first_layer_all_of_the_network_runs(make_scorer):
    scorer = make_scorer("*linear[23]")
    network = scorer.cut.encoder.acoustic_model
    assert scorer.first is network.fc.linear2
    assert scorer.tail is network


def test_memory_is_bounded(make_scorer, monkeypatch):
    monkeypatch.setattr(Speech.batches, "__defaults__", (1.0,))
    full = make_scorer()
    expected = full.count(REMOVALS["all"])
    sizes = [batch.outputs[0].nbytes for batch in full.batches]
    monkeypatch.setattr(scoring, "MEMORY", sizes[0] + sizes[1])
    scorer = make_scorer()
    for _ in range(2):
        assert scorer.count(REMOVALS["all"]) == expected
        kept = [one.outputs[0].nbytes for one in scorer.batches if one.outputs]
        assert kept == sizes[:2]


def test_the_model_is_left_as_it_was(make_scorer, recogniser):
    encoder = recogniser.mods.encoder
    before = fingerprint(encoder)
    scorer = make_scorer()
    for one in REMOVALS.values():
        scorer.count(one)
    assert fingerprint(encoder) == before
    for group in find_units(encoder, "fc").values():
        assert get_gate(encoder, group) is None
