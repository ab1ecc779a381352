"""Runs of the recipes, opened again.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import shutil

import pytest
import torch
from speechbrain.dataio.preprocess import AudioNormalizer

from speechbrain_neuronprune import PruningPlan
from speechbrain_neuronprune.cli.speech import datasets
from speechbrain_neuronprune.deploy.run import (
    compact_run,
    open_run,
    read_keys,
)
from speechbrain_neuronprune.errors import DataError, ExportError
from tests.tiny_recogniser import write_corpus
from tests.tiny_run import write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "run")


def test_a_run_is_the_average_of_its_last_checkpoints(run):
    brain = open_run(run)
    states = [
        torch.load(run / "save" / f"CKPT+{name}" / "model.ckpt")
        for name in ("first", "last")
    ]
    name = next(name for name in states[0] if name.endswith("logits"))
    mean = (states[0][name] + states[1][name]) / 2
    torch.testing.assert_close(brain.hparams.model.state_dict()[name], mean)
    assert not brain.modules.training


def test_the_statistics_of_the_features_come_back(run):
    normalize = open_run(run).modules.normalize
    assert torch.as_tensor(normalize.glob_mean).abs().sum() > 1


def test_a_run_may_be_moved(run, tmp_path):
    moved = shutil.copytree(run, tmp_path / "elsewhere")
    brain = open_run(moved)
    assert brain.hparams.output_folder == str(moved)
    assert brain.checkpointer.checkpoints_dir == moved / "save"


def test_a_run_in_fp16_is_opened_on_a_cpu(run, tmp_path):
    half = shutil.copytree(run, tmp_path / "half")
    yaml = half / "hyperparams.yaml"
    text = yaml.read_text().replace("precision: fp32", "precision: fp16")
    assert "precision: fp16" in text
    yaml.write_text(f"{text}\neval_precision: fp16\n")
    state = open_run(half).hparams.model.state_dict()
    for name, value in open_run(run).hparams.model.state_dict().items():
        assert torch.equal(state[name], value), name


def test_folders_that_are_no_run(tmp_path):
    assert read_keys(tmp_path) == set()
    with pytest.raises(DataError, match="is no run of the recipes"):
        open_run(tmp_path)
    (tmp_path / "hyperparams.yaml").write_text("- a\n- list\n")
    with pytest.raises(DataError, match="is no mapping in yaml"):
        open_run(tmp_path)


def test_posteriors_that_are_no_numbers_are_no_agreement(run, tmp_path):
    brain = open_run(run)
    corpus = str(write_corpus(tmp_path / "corpus"))
    splits = datasets(corpus, ["dev"], AudioNormalizer(16000))
    with torch.no_grad():
        brain.modules.ctc_lin.w.bias.fill_(torch.nan)
    with pytest.raises(ExportError, match="are NaN for one of the utterances"):
        compact_run(brain, PruningPlan({}), tmp_path / "model", splits, {})
    assert not (tmp_path / "model").exists()
