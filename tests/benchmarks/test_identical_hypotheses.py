"""Both recognisers, tiny and untrained, through the benchmark.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
from functools import partial

import pytest
import torch

from speechbrain_neuronprune.corpus.speech import read_speech
from speechbrain_neuronprune.deploy import finalise
from speechbrain_neuronprune.deploy.run import open_run
from speechbrain_neuronprune.training.dataio import speech_dataset, with_tokens
from tests.tiny_recogniser import write_corpus
from tests.tiny_run import write_run

YAMLS = {
    "beam search": "conformer_transformer_mini",
    "chunk by chunk": "conformer_ctc_mini_streaming",
}
CHANGES = {
    "beam search": {"num_decoder_layers": 1, "beam_size": 3},
    "chunk by chunk": {"chunk_size": 4, "left_context_chunks": 2},
}


def dataset(corpus, tokenizer):
    rows = {
        one.name: {
            "wav": str(one.path),
            "duration": one.seconds,
            "wrd": " ".join(one.words),
        }
        for one in read_speech(corpus, "test").utterances
    }
    return speech_dataset(with_tokens(rows, tokenizer, 0))


@pytest.fixture
def script(load_benchmark):
    return load_benchmark("identical_hypotheses")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Corpus and output folder of a benchmark whose trainings are over."""
    folder = tmp_path_factory.mktemp("benchmark")
    corpus = write_corpus(folder / "corpus", ("test",))
    for arm, yaml in YAMLS.items():
        run = folder / "out" / f"{arm.replace(' ', '-')}-1"
        changes = {"test_splits": ["test"], "target_parameters": 0.6}
        write_run(run, yaml, **changes, **CHANGES[arm])
        brain = open_run(run)
        tests = {"test": dataset(corpus, brain.hparams.tokenizer)}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(finalise, "write_report", lambda folder: None)
            costs = partial(finalise.measure_costs, rounds=1)
            patch.setattr(finalise, "measure_costs", costs)
            finalise.finalise(brain, tests, {"batch_size": 3})
        (run / "sizes.json").write_text("{}")
    return corpus, folder / "out"


def test_table_and_json(script, finished, capsys):
    corpus, output = finished
    script.main([str(corpus), "--output", str(output), "--seeds", "1"])
    content = json.loads((output / "identical.json").read_text())
    ways = [row["way"] for row in content["rows"]]
    assert ways == [
        "beam search",
        "beam search, in batches",
        "chunk by chunk",
        "chunk by chunk, in batches",
    ]
    for row in content["rows"]:
        assert row["masked"] == row["compact"]
        assert row["share"] == pytest.approx(0.6, abs=0.02)
        assert row["utterances"] == 5 and row["split"] == "test"
        assert 0 < row["largest_difference"] < 1e-4
    assert content["identical"]
    assert "| 0 of 5 |" in capsys.readouterr().out


@pytest.mark.parametrize("arm", CHANGES)
def test_another_network_would_be_found_out(script, finished, arm):
    corpus, output = finished
    folder = script.run_folder(output, arm, 1)
    brain = open_run(folder)
    door = script.DOORS[arm](folder, brain)
    networks = {"masked": brain.pruned, "compact": open_run(folder).pruned}
    torch.nn.init.normal_(networks["masked"].encoder.norm.norm.bias)
    row = script.compare(door, networks, str(corpus), "test")
    assert row["largest_difference"] > 0.1


def test_the_recipe_is_told_what_to_train(script, monkeypatch):
    calls = []
    monkeypatch.setattr(script, "run_recipe", lambda *call: calls.append(call))
    options = script.parse(["x", "--seeds", "3"], script.__doc__, script.ARMS)
    script.train_all(options, options.arms, script.train)
    assert [call[3] for call in calls] == list(YAMLS.values())
    assert script.ARMS == YAMLS
    for call in calls:
        assert call[4]["target_parameters"] == 0.45
        assert call[4]["number_of_epochs"] == 25
        assert call[4]["settle_step"] == 1050
