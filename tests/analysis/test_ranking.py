"""A ranking is that of the whole recogniser, and is kept exactly.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speechbrain_neuronprune.analysis import read_speech
from speechbrain_neuronprune.analysis.network import CutRecogniser
from speechbrain_neuronprune.analysis.ranking import Ranking, decimals, rank
from speechbrain_neuronprune.analysis.settings import AnalysisSettings
from speechbrain_neuronprune.saliency import (
    measure_activations,
    measure_saliency,
)

GROUPS = [f"acoustic_model.fc.linear{n}" for n in (1, 2, 3)]
SETTINGS = AnalysisSettings(("mi", "taylor", "mbp"), window=4)
CONTEXT = {"model": "1f3a"}


@pytest.fixture(scope="module")
def ranking(recogniser, corpus):
    cut = CutRecogniser(recogniser, GROUPS)
    speech = [read_speech(corpus, name) for name in ("dev", "reverb", "dev")]
    return rank(cut, GROUPS, speech[0], speech[1:], SETTINGS)


@pytest.fixture
def waves(recogniser, speech):
    """Waveforms of a split, one batch."""

    def read(split):
        batches = speech(split).batches(recogniser.audio_normalizer)
        return [(batch.wavs, batch.lengths) for batch in batches]

    return read


def test_scores_are_those_of_the_whole_encoder(ranking, recogniser, waves):
    expected = measure_saliency(
        recogniser.mods.encoder, waves("dev"), SETTINGS.criteria, window=4
    )
    assert ranking.scores.keys() == expected.keys()
    for criterion, by_group in expected.items():
        assert list(ranking.scores[criterion]) == GROUPS
        for name, values in by_group.items():
            found = ranking.scores[criterion][name]
            torch.testing.assert_close(found, values)


def test_the_stride_of_the_lagged_criterion(recogniser, waves, speech):
    settings = AnalysisSettings(("mi_lagged",), window=4, frame_stride=3)
    cut = CutRecogniser(recogniser, GROUPS)
    found = rank(cut, GROUPS, speech("dev"), [], settings).scores
    encoder, every = recogniser.mods.encoder, {}
    for stride in (1, 3):
        every[stride] = measure_saliency(
            encoder, waves("dev"), ["mi_lagged"], window=4, frame_stride=stride
        )
    for name in GROUPS:
        values = found["mi_lagged"][name]
        torch.testing.assert_close(values, every[3]["mi_lagged"][name])
        assert not values.allclose(every[1]["mi_lagged"][name])


def test_activations_of_the_ranking_speech_and_of_splits(
    ranking, recogniser, waves
):
    assert list(ranking.splits) == ["reverb", "dev"]
    for split, found in {"dev": ranking.activations, **ranking.splits}.items():
        expected = measure_activations(recogniser.mods.encoder, waves(split))
        for name in GROUPS:
            assert found[name].frames == expected[name].frames
            torch.testing.assert_close(found[name].mean, expected[name].mean)
    assert torch.equal(
        ranking.means[GROUPS[0]], ranking.activations[GROUPS[0]].mean
    )


def test_it_is_read_as_it_was_written(ranking, tmp_path):
    path = tmp_path / "ranking.json"
    ranking.save(path, CONTEXT)
    again = Ranking.load(path, CONTEXT)
    for criterion, by_group in ranking.scores.items():
        for name, values in by_group.items():
            assert torch.equal(again.scores[criterion][name], values)
    for split, by_group in ranking.splits.items():
        for name, one in by_group.items():
            other = again.splits[split][name]
            assert other.frames == one.frames
            for field in ("mean", "magnitude", "deviation", "silence"):
                found, expected = getattr(other, field), getattr(one, field)
                assert torch.equal(found, expected)
    assert list(again.activations) == GROUPS


@pytest.mark.parametrize(
    "content",
    [None, "", "[]", "{}", json.dumps({"context": CONTEXT, "scores": 3})],
)
def test_what_cannot_be_used_is_no_ranking(tmp_path, content):
    path = tmp_path / "ranking.json"
    if content is not None:
        path.write_text(content)
    assert Ranking.load(path, CONTEXT) is None


def test_a_ranking_of_something_else_is_not_used(ranking, tmp_path):
    path = tmp_path / "ranking.json"
    ranking.save(path, CONTEXT)
    assert Ranking.load(path, {"model": "other"}) is None


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_decimals_are_exact(values):
    tensor = torch.tensor(values, dtype=torch.float32)
    again = json.loads(json.dumps(decimals(tensor)))
    assert torch.equal(torch.tensor(again, dtype=torch.float32), tensor)
