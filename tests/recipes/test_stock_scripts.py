"""SpeechBrain's own training scripts, unmodified, with a few lines of yaml.

Set SPEECHBRAIN_REPOSITORY to a checkout of SpeechBrain's repository (v1.1) to
run these; they take about a minute each.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hyperpyyaml import load_hyperpyyaml
from sentencepiece import SentencePieceTrainer

from speechbrain_neuronprune import PruningPlan, adaptive_dropouts
from speechbrain_neuronprune.deploy.experiment import (
    open_experiment,
    write_compact_experiment,
)
from speechbrain_neuronprune.units import count_parameters
from tests.stock_recipes import added_lines
from tests.tiny_recogniser import TEXTS, write_corpus

ROOT = Path(__file__).parents[2]
REPOSITORY = os.environ.get("SPEECHBRAIN_REPOSITORY")

pytestmark = pytest.mark.skipif(
    REPOSITORY is None,
    reason="SPEECHBRAIN_REPOSITORY does not name SpeechBrain's repository",
)

ASR = "recipes/LibriSpeech/ASR"
SPLITS = ("train-clean-100", "dev-clean", "test-clean")
EPOCHS = 3
STEPS = 3

# The stock transducer loss runs on CUDA only.
WITHOUT_CUDA = (
    "speechbrain.nnet.losses.transducer_loss",
    "tests.transducer_loss.transducer_loss",
)

COMMON = {
    "train_splits": "[train-clean-100]",
    "dev_splits": "[dev-clean]",
    "test_splits": "[test-clean]",
    "number_of_epochs": EPOCHS,
    "num_workers": 0,
    "batch_size": 2,
}
CONFORMER = {
    "d_model": 16,
    "nhead": 2,
    "d_ffn": 24,
    "num_encoder_layers": 1,
    "avg_checkpoints": 2,
    "dynamic_batching": False,
}


TOKENS = 12
SEARCH = {
    "output_neurons": TOKENS,
    "valid_beam_size": 2,
    "test_beam_size": 2,
}
LANGUAGE_MODEL = "{rnn_neurons: 8, dnn_neurons: 8}"


@dataclass(frozen=True)
class Stock:
    """A stock recipe: where it is, and how it becomes tiny."""

    yaml: str
    options: dict

    @property
    def folder(self) -> Path:
        return Path(REPOSITORY, ASR, self.yaml).parents[1]


STOCK = {
    "ctc": Stock(
        "CTC/hparams/conformer_large.yaml",
        {**CONFORMER, "output_neurons": TOKENS, "beam_size": 4},
    ),
    "transformer": Stock(
        "transformer/hparams/conformer_small.yaml",
        {
            **CONFORMER,
            **SEARCH,
            "num_decoder_layers": 1,
            "valid_search_interval": 1,
            "lm_model": "{d_model: 8, nhead: 2, d_ffn: 8}",
        },
    ),
    "transducer": Stock(
        "transducer/hparams/conformer_transducer.yaml",
        {
            **CONFORMER,
            "output_neurons": TOKENS,
            "precision": "fp32",
            "grad_accumulation_factor": 1,
            "joint_dim": 16,
            "dec_dim": 8,
            "beam_size": 1,  # a wider beam may never end, untrained
            "lm_model": LANGUAGE_MODEL,
        },
    ),
    "seq2seq": Stock(
        "seq2seq/hparams/train_BPE_1000.yaml",
        {
            **SEARCH,
            "cnn_channels": "(2, 2)",
            "rnn_layers": 1,
            "rnn_neurons": 8,
            "dnn_neurons": 16,
            "dec_neurons": 8,
            "number_of_ctc_epochs": 1,
            "lm_model": LANGUAGE_MODEL,
        },
    ),
}


def overrides(stock: Stock, text: str, corpus: Path, folder: Path) -> dict:
    """What the command line changes, as far as the yaml has it."""
    output = folder / "output"
    options = {
        **COMMON,
        "data_folder": corpus,
        "output_folder": output,
        "train_csv": output / "train.csv",
        "valid_csv": output / "dev-clean.csv",
        "test_csv": f"[{output / 'test-clean.csv'}]",
        "pretrained_lm_tokenizer_path": folder / "pretrained",
        "NOISE_DATASET_URL": write_noise(folder / "noise"),
        "data_folder_noise": folder / "noises",
        **stock.options,
    }
    return {
        name: value
        for name, value in options.items()
        if re.search(f"^{name}:", text, re.MULTILINE)
    }


def write_pretrained(stock: Stock, text: str, options: dict) -> None:
    """What stock recipes download: a tokenizer, and a language model."""
    folder = Path(options["pretrained_lm_tokenizer_path"])
    folder.mkdir()
    SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS),
        model_prefix=str(folder / "tokenizer"),
        model_type="char",
        vocab_size=TOKENS,
    )
    (folder / "tokenizer.model").rename(folder / "tokenizer.ckpt")
    overrides = "\n".join(f"{name}: {value}" for name, value in options.items())
    hparams = load_hyperpyyaml(text, overrides)
    torch.save(hparams["lm_model"].state_dict(), folder / "lm.ckpt")


def write_noise(folder: Path) -> str:
    """The address of an archive with noise to augment with."""
    folder.mkdir()
    noise = np.random.default_rng(0).standard_normal(16000)
    soundfile.write(folder / "noise.wav", 0.1 * noise, 16000)
    return shutil.make_archive(folder, "zip", folder)


def start(stock: Stock, yaml: Path, *options: str) -> subprocess.Popen:
    """Start the script where it is, as its README says."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.getenv("PYTHONPATH")]))
    return subprocess.Popen(
        [
            sys.executable,
            "train.py",
            str(yaml),
            "--device=cpu",
            "--precision=fp32",
            *options,
        ],
        cwd=stock.folder,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen) -> str:
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output[-3000:]
    return output


def kill_after_checkpoint(process: subprocess.Popen, log: Path) -> None:
    """Kill the script as soon as it has saved a checkpoint."""
    while not log.exists() or "checkpoint in" not in log.read_text():
        assert process.poll() is None, process.stdout.read()[-3000:]
        time.sleep(0.02)
    process.kill()
    process.communicate()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"), SPLITS)


@pytest.mark.parametrize("name", STOCK)
def test_stock_recipe(name, corpus, tmp_path):
    """Train, be killed, resume, compact, evaluate."""
    stock, output = STOCK[name], tmp_path / "output"
    yaml = tmp_path / "train.yaml"
    text = Path(REPOSITORY, ASR, stock.yaml).read_text(encoding="utf-8")
    text = text.replace(*WITHOUT_CUDA)
    text += added_lines(f"{ASR}/{stock.yaml}", steps=STEPS)
    yaml.write_text(text, encoding="utf-8")
    changes = overrides(stock, text, corpus, tmp_path)
    if "pretrained_lm_tokenizer_path" in changes:
        write_pretrained(stock, text, changes)
    options = [f"--{name}={value}" for name, value in changes.items()]

    kill_after_checkpoint(start(stock, yaml, *options), output / "log.txt")
    finish(start(stock, yaml, *options))
    resumed = (output / "log.txt").read_text()
    assert "Loading a checkpoint from" in resumed

    experiment = open_experiment(output)
    gates = adaptive_dropouts(experiment.network)
    steps = {gate.schedule.step for gate in gates.values()}
    assert min(steps) == max(steps) >= STEPS
    assert all(gate.logits.any() for gate in gates.values())

    plan = PruningPlan.from_scores(
        {name: gate.beta() for name, gate in gates.items()}, fraction=0.5
    )
    folder = write_compact_experiment(experiment, plan, tmp_path / "compact")
    small = open_experiment(folder).network
    assert count_parameters(small) < count_parameters(experiment.network)

    finish(start(stock, folder / "hyperparams.yaml"))
    log = (folder / "log.txt").read_text()
    assert "Going into epoch" not in log  # nothing is trained
    assert (folder / "wer_test-clean.txt").read_text().startswith("%WER")
