"""The code that the README and the documents show is run as it stands.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import re
from pathlib import Path

import pytest
from hyperpyyaml import load_hyperpyyaml

from speechbrain_neuronprune import adaptive_dropouts

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

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


def code_blocks(document: Path, language: str) -> list[str]:
    """A document's fenced blocks of one language, each behind as many empty
    lines as stand above it, so that tracebacks name the right line."""
    fence = rf"^```{language}\n(.*?)^```$"
    text = document.read_text(encoding="utf-8")
    return [
        "\n" * text.count("\n", 0, block.start(1)) + block.group(1)
        for block in re.finditer(fence, text, re.MULTILINE | re.DOTALL)
    ]


def linked_files(document: Path) -> list[str]:
    """The relative targets of a document's links."""
    text = document.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    return [target for target in targets if "://" not in target]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_python_blocks_run(document, tmp_path, monkeypatch):
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
