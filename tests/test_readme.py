"""The python code that the README and the documents show is run as it stands;
test_shell_blocks.py has the commands.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hyperpyyaml import load_hyperpyyaml

from speechbrain_neuronprune import adaptive_dropouts, selective_update
from speechbrain_neuronprune.deploy.transcribe import load_model
from tests.documents import DOCUMENTS, ROOT, code_blocks
from tests.tiny_recogniser import (
    CONFORMER,
    write_corpus,
    write_recogniser,
)
from tests.tiny_stock import train, write_yaml

TRANSFORMER = """
Transformer: !new:speechbrain.lobes.models.transformer.TransformerASR.TransformerASR
    tgt_vocab: 8
    input_size: 20
    d_model: 16
    nhead: 2
    d_ffn: 24
    num_encoder_layers: 2
    num_decoder_layers: 0
    encoder_module: conformer
    attention_type: RelPosMHAXL
    normalize_before: True
    causal: False
"""  # noqa: E501


def linked_files(document: Path) -> list[str]:
    """The relative targets of a document's links; code has none."""
    text = document.read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    return [target for target in targets if "://" not in target]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A folder with what the documents' commands leave behind, but tiny: a
    corpus, a trained model, an adaptation, and a file to transcribe."""
    folder = tmp_path_factory.mktemp("results")
    runs = folder / "results"
    runs.mkdir()
    write_recogniser(
        runs / "mini",
        CONFORMER,
        ("CNN", "Transformer", "ctc_lin"),
        "Transformer",
    )
    encoder = load_model(
        str(write_recogniser(runs / "mini-tfcnn"))
    ).mods.encoder
    neurons = {"acoustic_model.fc.linear1": torch.arange(25) < 3}
    patch = selective_update(encoder, neurons).patch()
    patch.save(runs / "mini-adapted/patch.safetensors")
    write_corpus(runs / "mini-corpus", ("train-clean",))
    train(write_yaml(folder), {"output_folder": str(runs / "conformer_ctc")})
    noise = np.random.default_rng(0).standard_normal(16000)
    soundfile.write(folder / "speech.flac", 0.1 * noise, 16000)
    return folder


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_python_blocks_run(document, results, tmp_path, monkeypatch):
    shutil.copytree(results, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": document.stem}
    for block in code_blocks(document, "python"):
        exec(compile(block, str(document), "exec"), namespace)


def test_yaml_of_the_readme_attaches_gates():
    (block,) = code_blocks(ROOT / "README.md", "yaml")
    hparams = load_hyperpyyaml(TRANSFORMER + block)
    gates = adaptive_dropouts(hparams["Transformer"])
    assert len(gates) == 10
    assert {id(gate.schedule) for gate in gates.values()} == {
        id(hparams["retention"])
    }
    logits = [gate.logits for gate in gates.values()]
    optimizer = hparams["logits_opt_class"](logits)
    assert optimizer.defaults["weight_decay"] == 2e-5


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files(document):
    missing = [
        target
        for target in linked_files(document)
        if not (document.parent / target).exists()
    ]
    assert not missing
