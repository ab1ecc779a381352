"""The folder that a recipe leaves, tiny and untrained.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from pathlib import Path
from typing import Any

import torch
from hyperpyyaml import load_hyperpyyaml, resolve_references

from speechbrain_neuronprune import adaptive_dropouts
from speechbrain_neuronprune.deploy.run import make_brain
from speechbrain_neuronprune.training.tokens import train_tokenizer
from tests.tiny_recogniser import TEXTS

HPARAMS = Path(__file__).parents[1] / "hparams"
# The smallest Conformer that a recipe trains, with an average at the end
CONFORMER = {
    "num_encoder_layers": 1,
    "d_model": 16,
    "nhead": 2,
    "d_ffn": 24,
    "kernel_size": 5,
    "cnn_channels": 2,
    "number_of_checkpoints": 2,
}
TINY = {
    **CONFORMER,
    "data_folder": "corpus",
    "vocab_size": 4,
    "n_mels": 20,
}


def write_run(
    folder: Path, recipe: str = "conformer_ctc_mini", **changes: Any
) -> Path:
    """Write yaml, tokenizer and two checkpoints; logits are random."""
    save = folder / "save"
    save.mkdir(parents=True)
    overrides = TINY | {"output_folder": str(folder)} | changes
    with open(HPARAMS / f"{recipe}.yaml", encoding="utf-8") as file:
        yaml = resolve_references(file, overrides).getvalue()
    (folder / "hyperparams.yaml").write_text(yaml, encoding="utf-8")
    torch.manual_seed(0)
    hparams = load_hyperpyyaml(yaml)
    brain = make_brain(hparams, {"device": "cpu", "noprogressbar": True})
    hparams["normalize"].train()(15 * torch.randn(4, 50, 20) - 20, epoch=0)
    train_tokenizer(
        TEXTS,
        save / "tokenizer.model",
        "word",
        vocab_size=4,
        ends="bos_index" in hparams,
    )
    for name in ("first", "last"):
        for gate in adaptive_dropouts(hparams["model"]).values():
            torch.nn.init.normal_(gate.logits)
        brain.checkpointer.save_checkpoint(
            name=name, meta={"final_phase": True}
        )
    return folder


def rival_brain(folder: Path, **changes: Any) -> Any:
    """A Brain of the smallest Conformer, untrained, with a gate and a way to
    decide of its own: tags of yaml, ``!name:package.Class``."""
    overrides = TINY | {"output_folder": str(folder)} | changes
    text = "\n".join(f"{name}: {value}" for name, value in overrides.items())
    path = HPARAMS / "conformer_ctc_mini.yaml"
    with open(path, encoding="utf-8") as file:
        hparams = load_hyperpyyaml(file, text)
    return make_brain(hparams, {"device": "cpu", "noprogressbar": True})
