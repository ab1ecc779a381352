"""What the analysis file says.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from speechbrain_neuronprune import find_units
from speechbrain_neuronprune.analysis.description import (
    describe_groups,
    describe_settings,
    describe_splits,
    pool,
)
from speechbrain_neuronprune.analysis.log import MeasurementLog
from speechbrain_neuronprune.analysis.ranking import Ranking
from speechbrain_neuronprune.analysis.removals import Removal
from speechbrain_neuronprune.analysis.settings import AnalysisSettings
from speechbrain_neuronprune.corpus.speech import Speech, Utterance
from speechbrain_neuronprune.errors import SelectionError
from speechbrain_neuronprune.plan import PruningPlan
from speechbrain_neuronprune.saliency import ActivationStatistics

UNITS = 25
SETTINGS = AnalysisSettings(("mi", "mbp"), hypo=0.2, hyper=0.08)


@pytest.fixture
def groups():
    model = nn.Sequential(nn.Linear(3, UNITS), nn.ReLU(), nn.Linear(UNITS, 2))
    return find_units(model)


@pytest.fixture
def ranking():
    silence = torch.zeros(UNITS)
    silence[:5] = 1
    statistics = ActivationStatistics(
        40, torch.arange(25.0), torch.ones(UNITS), torch.ones(UNITS), silence
    )
    scores = {
        "mi": {"0": torch.rand(UNITS)},
        "mbp": {"0": torch.ones(UNITS)},  # tells no units apart
    }
    return Ranking(scores, {"0": statistics}, {"dev": {"0": statistics}})


def test_a_group(groups, ranking):
    described = describe_groups(groups, ranking, SETTINGS)
    assert json.loads(json.dumps(described, allow_nan=False)) == described
    group = described["0"]
    assert (group["kind"], group["units"]) == ("fc", UNITS)
    mi, values = group["saliency"]["mi"], ranking.scores["mi"]["0"].tolist()
    assert mi["order"] == sorted(range(UNITS), key=values.__getitem__)
    assert mi["values"] == pytest.approx(sorted(values))
    assert (mi["hypo"], mi["hyper"]) == (5, 2)
    assert group["agreement"] == {
        "criteria": ["mi", "mbp"],
        "matrix": [[1.0, None], [None, None]],
    }
    assert group["activations"]["mean"][7] == 7.0
    assert group["splits"]["dev"] == group["activations"]["summary"]
    assert group["splits"]["dev"] == {
        "frames": 40,
        "mean": 12.0,
        "magnitude": 1.0,
        "silence": pytest.approx(0.2),
        "dead": 5,
        "dead_share": pytest.approx(0.2),
    }


def test_shares_that_round_to_nothing(groups, ranking):
    with pytest.raises(SelectionError, match="hypo=0.01 is less than one"):
        describe_groups(groups, ranking, AnalysisSettings(hypo=0.01))


def speech(name, *texts):
    return Speech(
        name,
        tuple(
            Utterance(str(n), Path("a"), tuple(text.split()), 60 * 160, 160)
            for n, text in enumerate(texts)
        ),
    )


def test_the_first_split_is_home():
    splits = describe_splits([speech("dev", "GO ON"), speech("far", "A", "B")])
    assert splits["dev"] == {
        "role": "home",
        "name": "dev",
        "utterances": 1,
        "words": 2,
        "minutes": 1.0,
    }
    assert (splits["far"]["role"], splits["far"]["words"]) == ("domain", 2)


def test_settings_are_plain():
    described = describe_settings(SETTINGS, [("0",)])
    assert json.loads(json.dumps(described)) == described
    assert described["layers"] == [["0"]]
    assert described["hypo"] == 0.2


def test_errors_are_pooled(tmp_path):
    header = {"split": "dev", "words": [2, 3], "characters": [5, 15]}
    log = MeasurementLog(tmp_path / "dev.jsonl", header)
    plan = PruningPlan({"0": torch.arange(4) < 3})
    one = Removal("hypo", 0.25, criterion="mi", layers=("0",), plan=plan)
    errors = {"word_errors": [1, 3], "character_errors": [1, 0]}
    log.append(one.facts(), errors)
    assert pool([log], [one]) == [
        {
            "split": "dev",
            "part": "hypo",
            "share": 0.25,
            "hypo": None,
            "criterion": "mi",
            "layers": ["0"],
            "ablation": "zero",
            "units": 1,
            "word_errors": 4,
            "words": 5,
            "wer": 80.0,
            "character_errors": 1,
            "characters": 20,
            "cer": 5.0,
            "wer_difference": None,
        }
    ]


def test_errors_are_compared_with_the_untouched_model(tmp_path):
    header = {"split": "dev", "words": [2, 3], "characters": [5, 15]}
    log = MeasurementLog(tmp_path / "dev.jsonl", header)
    removals = [Removal("none"), Removal("hypo", 0.25)]
    for one, errors in zip(removals, ([0, 3], [1, 3]), strict=True):
        log.append(
            one.facts(), {"word_errors": errors, "character_errors": errors}
        )
    untouched, changed = pool([log], removals)
    assert untouched["wer_difference"] is None
    found = changed["wer_difference"]
    assert found["difference"] == changed["wer"] - untouched["wer"] == 20.0
    assert (found["low"], found["high"]) == (0.0, 50.0)
