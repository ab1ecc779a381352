"""An adaptation of the tiny recogniser to a little noise.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from pathlib import Path

import torch
from hyperpyyaml import load_hyperpyyaml

from speechbrain_neuronprune.adaptation.stages import Stage
from speechbrain_neuronprune.deploy.transcribe import load_model
from speechbrain_neuronprune.domain_adaptation import (
    DomainAdaptation,
    DomainSpeech,
)

HPARAMS = Path(__file__).parents[1] / "hparams/adapt_hyper_hypo.yaml"
UTTERANCES = 6


def speech():
    """Noise that always is the same."""
    generator = torch.Generator().manual_seed(0)
    waves = {
        str(n): 0.1 * torch.randn(9000 + 500 * n, generator=generator)
        for n in range(UTTERANCES)
    }
    rows = {name: {"wav": name, "duration": 0.6, "wrd": ""} for name in waves}
    # Rows to be tested on are of other files with the same noise.
    return DomainSpeech(rows, read=lambda path: waves[path.split("/")[-1]])


def measured_rows(*names, words="GO"):
    """Rows of speech that could be tested on."""
    row = {"duration": 0.6, "wrd": words}
    return {name: row | {"wav": f"test/{name}"} for name in names}


def make_adaptation(model, folder, run_opts=None, augments=True, **changes):
    """Prepare an adaptation of a model directory, in a folder."""
    overrides = {
        "starting_model": str(model),
        "target_folder": "unused",
        "output_folder": str(folder),
        "hypo": 0.1,
        "hyper": 0.1,
        "epochs": 2,
        "fraction": 1.0,
        "layers": ["*linear1"],
        "max_batch_length": 0.7,  # one utterance
        "num_buckets": 1,
        "patience": None,
        **changes,
    }
    with open(HPARAMS, encoding="utf-8") as file:
        hparams = load_hyperpyyaml(file, overrides)
    if not augments:
        del hparams["wav_augment"], hparams["fea_augment"]
    folder.mkdir(exist_ok=True)
    options = {"noprogressbar": True, **(run_opts or {})}
    recogniser = load_model(str(model))
    return DomainAdaptation(recogniser, speech(), hparams, options)


def as_model(one, name):
    """The stages of another of the yaml file's models."""
    one.stages = [Stage.read(stage) for stage in one.hparams["models"][name]]
    return one


def labelled_rows(count, place):
    """Rows of speech that could be replayed."""
    return {
        f"{n:02}": {"wav": f"{place}{n}", "duration": 0.6, "wrd": "GO"}
        for n in range(count)
    }
