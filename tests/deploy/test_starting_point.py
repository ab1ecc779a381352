"""Beginning from runs, model directories and experiments, or refusing to.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import os
import random
import shutil

import numpy as np
import pytest
import torch
from hyperpyyaml import load_hyperpyyaml

from speechbrain_neuronprune import PruningPlan, adaptive_dropouts
from speechbrain_neuronprune.brains import DistilledASR
from speechbrain_neuronprune.deploy.evaluation import make_variants
from speechbrain_neuronprune.deploy.finalise import write_model
from speechbrain_neuronprune.deploy.run import make_brain, open_run
from speechbrain_neuronprune.deploy.starting_point import open_starting_point
from speechbrain_neuronprune.errors import DataError, ExperimentError
from speechbrain_neuronprune.training.tokens import (
    load_tokenizer,
    train_tokenizer,
)
from tests.tiny_recogniser import RESULTS, TEXTS
from tests.tiny_run import HPARAMS, TINY, write_run
from tests.tiny_stock import train, write_yaml

FINETUNE = HPARAMS / "conformer_ctc_mini_finetune.yaml"


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    """A run without gates; one of its parameters differs in all of them."""
    folder = tmp_path_factory.mktemp("runs") / "dense"
    return write_run(folder, "conformer_ctc_mini_dense")


@pytest.fixture(scope="module")
def gated(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "gated")


@pytest.fixture(scope="module")
def directory(dense, tmp_path_factory):
    """The model directory of the dense run."""
    brain, plan = open_run(dense), PruningPlan({})
    folder = tmp_path_factory.mktemp("directory") / "model"
    variants = make_variants(brain.pruned, plan)
    write_model(folder, brain, plan, variants, RESULTS)
    return folder


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """The folder of a stock recipe, with tokens."""
    folder = tmp_path_factory.mktemp("experiment")
    train(write_yaml(folder), {"output_folder": str(folder / "run")})
    tokens = folder / "run/save/tokens.model"
    tokens.unlink()
    train_tokenizer([*TEXTS, "RIGHT"], tokens, "word", vocab_size=5)
    return folder / "run"


@pytest.fixture
def make_child(tmp_path):
    """A Brain about to be trained; its weights are others."""

    def build(**changes):
        overrides = TINY | {
            "output_folder": str(tmp_path / "child"),
            "starting_point": "unused",
            "seed": 99,
        }
        hparams = load_hyperpyyaml(FINETUNE.read_text(), overrides | changes)
        return make_brain(hparams, {"device": "cpu", "noprogressbar": True})

    return build


def weights_of(brain):
    """The weights without those of gates."""
    return {
        f"{module}.{name}": value
        for module in brain.network
        for name, value in brain.modules[module].state_dict().items()
        if "gate" not in name
    }


@pytest.mark.parametrize("kind", ["dense", "directory", "gated"])
def test_weights_statistics_and_tokens_are_taken_over(
    kind, dense, gated, make_child, tmp_path, request
):
    start = open_starting_point(request.getfixturevalue(kind))
    child = make_child()
    start.begin(child)
    parent = open_run(gated if kind == "gated" else dense)
    before, after = weights_of(parent), weights_of(child)
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert torch.equal(after[name], value), name
    ours, theirs = child.modules.normalize, parent.modules.normalize
    assert torch.equal(ours.glob_mean, theirs.glob_mean)
    assert torch.equal(ours.glob_std, theirs.glob_std)
    start.save_tokenizer(tmp_path / "tokenizer.model")
    tokenizer = load_tokenizer(tmp_path / "tokenizer.model")
    assert tokenizer.encode("GO LEFT") == parent.hparams.tokenizer.encode(
        "GO LEFT"
    )


def test_a_stock_experiment(experiment, make_child, tmp_path):
    changes = {"vocab_size": 5, "kernel_size": 31}
    child = make_child(**changes, CNN={"out_channels": [4, 2]})
    start = open_starting_point(experiment)
    start.begin(child)
    newest = max(experiment.glob("save/CKPT*"), key=lambda p: p.stat().st_mtime)
    state = torch.load(newest / "model.ckpt")
    weight = child.modules.ctc_lin.w.weight
    assert any(torch.equal(weight, value) for value in state.values())
    gates = adaptive_dropouts(child.pruned).values()
    assert not any(gate.logits.any() for gate in gates)
    start.save_tokenizer(tmp_path / "tokenizer.model")
    assert load_tokenizer(tmp_path / "tokenizer.model").vocab_size() == 5


def test_a_stock_experiment_with_unclear_tokens(experiment, tmp_path):
    copied = shutil.copytree(experiment, tmp_path / "run")
    (copied / "save/tokens.model").rename(copied / "save/tokenizer.ckpt")
    shutil.copy(copied / "save/tokenizer.ckpt", copied / "save/char.model")
    with pytest.raises(ExperimentError, match="char.model, tokenizer.ckpt"):
        open_starting_point(copied)


def test_all_units_are_open(gated, make_child):
    child = make_child()
    open_starting_point(gated).begin(child)
    for gate in adaptive_dropouts(child.pruned).values():
        assert torch.equal(gate.logits, torch.zeros_like(gate.logits))
        assert gate.keep().all() and (gate.retention() > 0.9999).all()


def test_the_child_recognises_what_its_parent_does(dense, make_child):
    child, parent = make_child(), open_run(dense)
    open_starting_point(dense).begin(child)
    features, lengths = torch.randn(2, 40, 20), torch.tensor([1.0, 0.7])
    child.modules.eval()
    with torch.no_grad():
        expected = parent.activations(features, lengths)
        found = child.activations(features, lengths)
        taught = child.teacher(features, lengths)
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.allclose(taught, expected, atol=1e-5)


def test_the_statistics_stay(dense, make_child):
    child = make_child()
    open_starting_point(dense).begin(child)
    normalize = child.modules.normalize.train()
    before = normalize.glob_mean.clone()
    normalize(torch.randn(2, 30, 20), torch.ones(2), epoch=1)
    assert torch.equal(normalize.glob_mean, before)


def test_a_brain_without_distillation_gets_no_teacher(dense, make_child):
    child = make_child(distill_posteriors=0.0)
    assert isinstance(child, DistilledASR)
    open_starting_point(dense).begin(child)
    assert child.teacher is None


def test_what_was_seeded_stays_so(dense, monkeypatch):
    monkeypatch.setenv("SB_GLOBAL_SEED", "7")
    states = [torch.get_rng_state(), random.getstate(), np.random.get_state()]
    open_starting_point(dense)
    assert os.environ["SB_GLOBAL_SEED"] == "7"
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.array_equal(np.random.get_state()[1], states[2][1])


def test_other_tokens_that_exist_are_refused(dense, tmp_path):
    path = tmp_path / "tokenizer.model"
    start = open_starting_point(dense)
    for _ in range(2):  # a run that is resumed has them already
        start.save_tokenizer(path)
    path.write_text("of another run")
    with pytest.raises(ExperimentError, match="choose another output_folder"):
        start.save_tokenizer(path)
    assert path.read_text() == "of another run"


# ------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"d_ffn": 32}, r"Transformer\..*ffn.*\(24, 16\) there and \(32, 16\)"),
        ({"vocab_size": 5}, r"ctc_lin\..*\(4, 16\) there and \(5, 16\) here"),
        ({"num_encoder_layers": 2}, r"layers\.1\..* is missing there"),
        ({"cnn_channels": 3}, r"CNN\.convblock_0.* is \(2, "),
    ],
)
def test_another_architecture_is_named(dense, make_child, changes, message):
    child = make_child(**changes)
    before = {k: v.clone() for k, v in weights_of(child).items()}
    with pytest.raises(ExperimentError, match=message):
        open_starting_point(dense).begin(child)
    for name, value in weights_of(child).items():
        assert torch.equal(value, before[name]), name


def test_a_larger_model_is_no_starting_point(tmp_path, make_child):
    large = write_run(
        tmp_path / "large", "conformer_ctc_mini_dense", num_encoder_layers=2
    )
    with pytest.raises(ExperimentError, match=r"layers\.1\..*missing here"):
        open_starting_point(large).begin(make_child())


def test_another_network(dense, make_child):
    child = make_child()
    child.network = ("acoustic_model",)
    with pytest.raises(ExperimentError, match="no module acoustic_model, only"):
        open_starting_point(dense).begin(child)


def test_other_statistics(dense, make_child):
    child = make_child(normalize={"norm_type": "sentence"})
    with pytest.raises(ExperimentError, match="global, this recipe by sent"):
        open_starting_point(dense).begin(child)


def test_a_path_that_leads_nowhere(tmp_path):
    with pytest.raises(DataError, match="There is no model in .*nowhere"):
        open_starting_point(tmp_path / "nowhere")


def test_a_recipe_is_not_trained(dense):
    with pytest.raises(ExperimentError, match="is no trained model"):
        open_starting_point(dense / "hyperparams.yaml")
