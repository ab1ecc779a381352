"""The adaptation recipe, from a trained model to a patch.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from speechbrain_neuronprune import DomainPatch, DomainPatches
from speechbrain_neuronprune.deploy.checksums import read_card, write_card
from speechbrain_neuronprune.deploy.transcribe import load_model

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes/LibriSpeech/ASR/CTC"
MODEL = {
    "vocab_size": 3,
    "fc_units": 32,
    "fc_layers": 2,
    "context": 10,
    "time_filters": 4,
    "frequency_filters": 4,
    "dropout": 0.0,
    "number_of_epochs": 2,
    "steps_per_epoch": 60,
    "short_steps": 60,
    "lr": 0.01,
    "lr_warmup_steps": 5,
    "max_batch_length": 6,
    "number_of_checkpoints": 1,
}


def run(script, hparams, **options):
    """Run a script in a process of its own; return its status and output."""
    done = subprocess.run(
        [
            *(sys.executable, str(RECIPE / f"{script}.py")),
            str(ROOT / "hparams" / f"{hparams}.yaml"),
            *[f"--{name}={value}" for name, value in options.items()],
            *("--noprogressbar", "--device=cpu"),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stdout + done.stderr


def adapt(start, corpus, output, **changes):
    options = {
        "starting_model": start,
        "target_folder": corpus,
        "target_splits": "[train-clean]",
        "target_tests": "[test-clean]",
        "home_folder": corpus,
        "home_splits": "[dev-clean]",
        "output_folder": output,
        "hypo": 0.1,
        "hyper": 0.1,
        "epochs": 2,
        "lr": 0.01,
        "fraction": 1.0,
        "max_batch_length": 6,
    }
    return run("adapt_hyper_hypo", "adapt_hyper_hypo", **options | changes)


def weights(folder):
    return torch.load(folder / "model.ckpt", weights_only=True)


@pytest.fixture(scope="module")
def model(corpus, tmp_path_factory):
    """The directory of a model that hears something."""
    output = tmp_path_factory.mktemp("trained")
    status, messages = run(
        "train_adaptive_dropout",
        "tfcnn_ctc_mini",
        data_folder=corpus,
        output_folder=output,
        **MODEL,
    )
    assert status == 0, messages
    return output / "model"


@pytest.fixture(scope="module")
def adapted(model, corpus, tmp_path_factory):
    """The output of model B."""
    output = tmp_path_factory.mktemp("adapted")
    status, messages = adapt(model, corpus, output)
    assert status == 0, messages
    return output


def test_it_measures_before_and_after(adapted):
    results = json.loads((adapted / "adaptation.json").read_text())
    for when in ("before", "after"):
        split = results[when]["target/test-clean"]
        errors, words = map(
            sum, zip(*split["utterances"].values(), strict=True)
        )
        assert split["wer"] == pytest.approx(100 * errors / words)
    log = (adapted / "adaptation.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in log] == [0, 1, 2]


def test_only_chosen_neurons_have_changed(model, adapted):
    before, after = weights(model), weights(adapted / "model")
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed == {"0.fc.linear1.weight", "0.fc.linear1.bias"} | {
        "0.fc.linear2.weight",
        "0.fc.linear2.bias",
    }
    rows = (before["0.fc.linear1.weight"] != after["0.fc.linear1.weight"]).any(
        1
    )
    assert rows.sum() == 6  # 3 hypo and 3 hyper of 32


def test_the_patch_makes_the_adapted_model_of_the_starting_one(model, adapted):
    recogniser = load_model(str(model))
    patches = DomainPatches(recogniser.mods.encoder)
    patches.add("new", DomainPatch.load(adapted / "patch.safetensors"))
    patches.use("new")
    network = recogniser.hparams.model.state_dict()
    for name, value in weights(adapted / "model").items():
        assert value.equal(network[name])
    patches.use(None)
    network = recogniser.hparams.model.state_dict()
    for name, value in weights(model).items():
        assert value.equal(network[name])


def test_a_start_that_counts_stays_where_learning_only_does_harm(
    model, corpus, tmp_path
):
    output = tmp_path / "harmed"
    status, messages = adapt(model, corpus, output, lr=0.3, start_counts=True)
    assert status == 0, messages
    start, *epochs = [
        json.loads(line)["loss_held_back"]
        for line in (output / "adaptation.jsonl").read_text().splitlines()
    ]
    assert start < min(epochs)
    results = json.loads((output / "adaptation.json").read_text())
    assert results["after"] == results["before"]
    before, after = weights(model), weights(output / "model")
    assert all(before[name].equal(after[name]) for name in before)


def test_a_run_that_was_stopped_goes_on(model, corpus, adapted, tmp_path):
    output = tmp_path / "again"
    shutil.copytree(adapted, output)
    labels = output / "round1/labels.json"
    first = labels.read_text()
    for name in ("adaptation.json", "round1/stage1/best.ckpt"):
        (output / name).unlink()
    (output / "adaptation.jsonl").unlink()
    status, messages = adapt(model, corpus, output)
    assert status == 0, messages
    assert labels.read_text() == first
    for name, value in weights(adapted / "model").items():
        assert value.equal(weights(output / "model")[name])


def test_stages_controls_and_rounds_run(model, corpus, tmp_path):
    status, messages = adapt(
        model, corpus, tmp_path / "c", model="C", neurons="random", rounds=2
    )
    assert status == 0, messages
    before, after = weights(model), weights(tmp_path / "c/model")
    assert not before["0.fc.output.weight"].equal(after["0.fc.output.weight"])
    assert not (tmp_path / "c/patch.safetensors").exists()
    assert (tmp_path / "c/round2/stage2/best.ckpt").is_file()


def test_other_labelled_speech_is_replayed(model, corpus, tmp_path):
    status, messages = adapt(
        model,
        corpus,
        tmp_path / "e",
        model="E",
        epochs=1,
        replay_folder=corpus,
        replay_splits="[dev-clean]",
    )
    assert status == 0, messages
    request = json.loads((tmp_path / "e/request.json").read_text())
    replayed, home = (request[name] for name in ("replayed", "home"))
    assert replayed.split()[0] == home.split()[0] != "0"
    assert (tmp_path / "e/patch.safetensors").is_file()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fraction": 0}, "A fraction of 0 of the utterances cannot be kept"),
        ({"neurons": "loud"}, "There is no choice 'loud' of neurons"),
        ({"hypo": 0.7, "hyper": 0.7}, "do not overlap"),
        ({"hypo": 0.001}, "is less than one of the 32 neurons"),
        ({"target_splits": "[test-clean]"}, "with and without its transcripts"),
        (
            {"home_tests": "[dev-clean]"},
            "home/dev-clean is also among the speech to be replayed",
        ),
        ({"target_splits": "[nowhere]"}, "has no split nowhere"),
        ({"target_splits": "[]"}, "there is no speech to adapt to; name a"),
        ({"starting_model": "nowhere"}, "is no model directory"),
        ({"home_folder": "null"}, "but no home_folder that they could be in"),
        (
            {"home_splits": "[]"},
            "but home_splits and home_tests are both empty",
        ),
        ({"replay_splits": "[a]"}, "replay_folder is None and replay_splits"),
        ({"target_folder": "nowhere"}, "give the folder of a corpus in Libri"),
        (
            {"patience": "null", "start_counts": True},
            "With patience=null the last state is always taken",
        ),
        (
            {"model": "D", "home_folder": "null", "home_splits": "[]"},
            "Model D replays home speech, of which there is none",
        ),
    ],
)
def test_bad_input_is_one_sentence(model, corpus, tmp_path, changes, message):
    options = {"starting_model": model, **changes}
    status, messages = adapt(
        options.pop("starting_model"), corpus, tmp_path / "run", **options
    )
    assert status == 1
    [line] = [line for line in messages.splitlines() if "error: " in line]
    assert message in line
    assert not (tmp_path / "run/model").exists()


def test_an_output_folder_of_another_adaptation_is_refused(
    model, corpus, adapted
):
    status, messages = adapt(model, corpus, adapted, neurons="random")
    assert status == 1
    assert "with neurons=hyper_hypo, not random; choose another" in messages


def test_an_output_in_the_starting_model_is_refused(model, corpus):
    before = sorted(model.rglob("*"))
    status, messages = adapt(model, corpus, model)
    assert status == 1
    assert "would mix the adapted model with the starting model" in messages
    assert sorted(model.rglob("*")) == before


def test_the_card_is_that_of_the_adapted_model(adapted):
    card = (adapted / "model/README.md").read_text()
    assert "adapted to other speech without labels (model\nB" in card
    assert "| target/test-clean | " in card


def test_a_model_that_hears_nothing_is_left_alone(model, corpus, tmp_path):
    deaf = tmp_path / "deaf"
    shutil.copytree(model, deaf)
    network = weights(deaf)
    network["0.fc.output.bias"][0] += 100.0  # nothing but blanks
    torch.save(network, deaf / "model.ckpt")
    write_card(deaf, read_card(deaf))
    status, messages = adapt(deaf, corpus, tmp_path / "run")
    assert status == 1
    assert "all pseudo-labels are empty" in messages
    assert not (tmp_path / "run/model").exists()
