"""Directories that SpeechBrain loads, made smaller.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import shutil

import pytest
import torch
from ruamel.yaml import YAML
from speechbrain.inference import EncoderASR
from speechbrain.inference.interfaces import Pretrained

from speechbrain_neuronprune import PruningPlan, apply_masks, find_units
from speechbrain_neuronprune.deploy import (
    narrowed_directory,
    write_narrowed_directory,
)
from speechbrain_neuronprune.deploy.checksums import verify_checksums
from speechbrain_neuronprune.deploy.transcribe import load_model
from speechbrain_neuronprune.errors import ExportError, PlanError
from tests.tiny_recogniser import CONFORMER, write_recogniser

MODULES = ("CNN", "Transformer", "ctc_lin")
# As on the hub: weights have paths of their own, code comes along
HUB = """
pretrained_path: {folder}
embedding_model: !new:torch.nn.Sequential
    - !new:torch.nn.Linear [4, 8]
    - !new:torch.nn.Tanh
    - !new:torch.nn.Linear [8, 3]
classifier: !new:torch.nn.Sequential
    - !new:torch.nn.Linear [3, 6]
    - !new:torch.nn.ReLU
    - !new:torch.nn.Linear [6, 2]
other: !new:torch.nn.Linear [2, 2]
modules:
    embedding_model: !ref <embedding_model>
    classifier: !ref <classifier>
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        embedding: !ref <embedding_model>
        classifier: !ref <classifier>
        other: !ref <other>
    paths:
        embedding: !ref <pretrained_path>/first.pt
        other: !ref <pretrained_path>/other.ckpt
"""


@pytest.fixture(scope="module")
def conformer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("conformer") / "recogniser"
    return write_recogniser(folder, CONFORMER, MODULES, "Transformer")


@pytest.fixture
def hub(tmp_path):
    torch.manual_seed(4)
    folder = tmp_path / "hub"
    folder.mkdir()
    (folder / "hyperparams.yaml").write_text(HUB.format(folder=folder))
    (folder / "custom.py").write_text("# an interface")
    (folder / "README.md").write_text("# 1.9 % WER")
    first = torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)
    )
    second = torch.nn.Sequential(
        torch.nn.Linear(3, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2)
    )
    torch.save(first.state_dict(), folder / "first.pt")
    torch.save(second.state_dict(), folder / "classifier.ckpt")
    other = torch.nn.Linear(2, 2).state_dict()
    torch.save(other, folder / "other.ckpt")
    return folder


def half(network):
    """Every second unit."""
    return PruningPlan(
        {
            name: torch.arange(group.size) % 2 < 1
            for name, group in find_units(network).items()
        }
    )


def write(folder, output, interface=EncoderASR):
    """Make the smaller directory; return its plan."""
    recogniser = load_model(folder, interface=interface)
    network = getattr(recogniser.mods, "encoder", recogniser.mods)
    plan = half(network)
    write_narrowed_directory(folder, recogniser, network, plan, output)
    return plan


def test_a_smaller_recogniser_computes_what_the_masked_one_does(
    conformer, tmp_path
):
    plan = write(conformer, tmp_path / "small")
    small, masked = load_model(tmp_path / "small"), load_model(conformer)
    apply_masks(masked.mods.encoder, plan)
    speech, lengths = 0.1 * torch.randn(2, 9000), torch.tensor([1.0, 0.6])
    found = small.encode_batch(speech, lengths)
    torch.testing.assert_close(found, masked.encode_batch(speech, lengths))
    assert PruningPlan.load(tmp_path / "small" / "plan.json").keep.keys()


def test_it_may_be_moved_and_needs_nothing_else(hub, tmp_path):
    plan = write(hub, tmp_path / "small", Pretrained)
    masked = load_model(hub, interface=Pretrained)
    apply_masks(masked.mods, plan)
    shutil.rmtree(hub)
    moved = shutil.move(tmp_path / "small", tmp_path / "moved")
    small = load_model(moved, interface=Pretrained)
    x = torch.randn(5, 4)
    for name in ("embedding_model", "classifier"):
        y = small.mods[name](x)
        torch.testing.assert_close(y, masked.mods[name](x))
        x = y
    assert small.mods.embedding_model[0].weight.shape == (4, 4)
    assert small.mods.classifier[0].weight.shape == (3, 3)
    torch.testing.assert_close(
        small.hparams.other.weight, masked.hparams.other.weight
    )


def test_files_come_along_and_figures_do_not(hub, tmp_path):
    output = tmp_path / "small"
    write(hub, output, Pretrained)
    assert {path.name for path in output.iterdir()} == {
        "README.md",
        "README.dense.md",
        "classifier.ckpt",
        "custom.py",
        "embedding.ckpt",
        "hyperparams.yaml",
        "other.ckpt",
        "plan.json",
    }
    card = (output / "README.md").read_text()
    assert "1.9" not in card
    assert "55 of the 105 parameters" in " ".join(card.split())
    verify_checksums(output)
    recipe = YAML().load(output / "hyperparams.yaml")
    assert "paths" not in recipe["pretrainer"]


def test_smaller_ones_are_not_made_smaller(conformer, tmp_path):
    write(conformer, tmp_path / "small")
    with pytest.raises(ExportError, match="narrowed already"):
        write(tmp_path / "small", tmp_path / "smaller")
    assert not (tmp_path / "smaller").exists()


def test_a_plan_of_another_model(conformer, tmp_path):
    recogniser = load_model(conformer)
    plan = PruningPlan({"elsewhere": torch.ones(3, dtype=torch.bool)})
    with pytest.raises(PlanError, match="elsewhere"):
        write_narrowed_directory(
            conformer,
            recogniser,
            recogniser.mods.encoder,
            plan,
            tmp_path / "small",
        )


def test_what_cannot_be_written_leaves_nothing(
    conformer, tmp_path, monkeypatch
):
    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(narrowed_directory.torch, "save", full)
    with pytest.raises(ExportError, match="no space left"):
        write(conformer, tmp_path / "small")
    assert list(tmp_path.iterdir()) == []
