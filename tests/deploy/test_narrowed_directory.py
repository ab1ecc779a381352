"""Directories that SpeechBrain loads, made smaller.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import logging
import shutil
from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML
from speechbrain.inference import EncoderASR
from speechbrain.inference.interfaces import Pretrained
from speechbrain.lobes.models.transformer.Conformer import ConvolutionModule

from speechbrain_neuronprune import PruningPlan, apply_masks, find_units
from speechbrain_neuronprune.deploy import (
    narrowed_directory,
    write_narrowed_directory,
)
from speechbrain_neuronprune.deploy.checksums import verify_checksums
from speechbrain_neuronprune.deploy.target import is_replaceable
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


# ------------------------------------------------------------ other people's

CHAIN = "!new:torch.nn.Sequential\n"
STAGES = """\
    - !new:torch.nn.Linear [4, 8]
    - !new:torch.nn.Tanh
    - !new:torch.nn.Linear [8, 3]
"""
PRETRAINER = "!new:speechbrain.utils.parameter_transfer.Pretrainer"


def directory(tmp_path, text, **weights):
    """A directory of a yaml and weights, by name."""
    folder = tmp_path / "hub"
    folder.mkdir()
    (folder / "hyperparams.yaml").write_text(text)
    for name, module in weights.items():
        torch.save(module.state_dict(), folder / f"{name}.ckpt")
    return folder


def chain(last=3):
    torch.manual_seed(1)
    return torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, last)
    )


def read_state(module, path):
    module.load_state_dict(torch.load(path)["weights"])


def read_text(path):
    return Path(path).read_text()


def fresh_chain():
    return chain()


def same_as_masked(folder, small, plan, name="net"):
    """Whether a module computes what the masked one does."""
    masked = load_model(folder, interface=Pretrained)
    apply_masks(getattr(masked.mods, "encoder", masked.mods), plan)
    x = torch.randn(5, 4)
    found = load_model(small, interface=Pretrained).mods[name](x)
    torch.testing.assert_close(found, masked.mods[name](x))


def test_weights_that_no_file_holds_are_refused(tmp_path):
    """What the yaml builds in their place is not what was ranked."""
    text = (
        f"net: {CHAIN}{STAGES}modules:\n    net: !ref <net>\n"
        f"    other: !apply:{__name__}.fresh_chain\n"
        f"pretrainer: {PRETRAINER}\n    loadables: {{net: !ref <net>}}\n"
    )
    folder = directory(tmp_path, text, net=chain())
    with pytest.raises(ExportError, match=r"other\.0 are in none .* \(net\)"):
        write(folder, tmp_path / "small", Pretrained)
    assert not (tmp_path / "small").exists()


SHARED = """
first: !new:torch.nn.Linear [4, 8]
net: !new:torch.nn.Sequential
    - !ref <first>
    - !new:torch.nn.Tanh
    - !new:torch.nn.Linear [8, 3]
other: !new:torch.nn.Sequential
    - !ref <{shared}>
    - !new:torch.nn.Softmax [-1]
modules:
    encoder: !ref <net>
    other: !ref <other>
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables: {{net: !ref <net>}}
"""


def test_a_layer_that_another_module_uses_is_refused(tmp_path):
    text = SHARED.format(shared="first")
    folder = directory(tmp_path, text, net=chain())
    with pytest.raises(ExportError, match="a part of a Sequential besides"):
        write(folder, tmp_path / "small", Pretrained)


def test_a_chain_that_another_module_uses_whole_is_not(tmp_path):
    text = SHARED.format(shared="net")
    folder = directory(tmp_path, text, net=chain())
    plan = write(folder, tmp_path / "small", Pretrained)
    for name in ("encoder", "other"):
        same_as_masked(folder, tmp_path / "small", plan, name)


def test_a_single_layer_without_units_is_refused(tmp_path):
    """It would have to be another module."""
    kind = "speechbrain.lobes.models.transformer.Conformer.ConvolutionModule"
    text = (
        f"net: !new:{kind} [4, 3]\nmodules: {{net: !ref <net>}}\n"
        f"pretrainer: {PRETRAINER}\n    loadables: {{net: !ref <net>}}\n"
    )
    folder = directory(tmp_path, text, net=ConvolutionModule(4, 3))
    recogniser = load_model(folder, interface=Pretrained)
    [name] = find_units(recogniser.mods)
    plan = PruningPlan({name: torch.zeros(4, dtype=torch.bool)})
    with pytest.raises(ExportError, match="module net of .* is a single layer"):
        write_narrowed_directory(
            folder, recogniser, recogniser.mods, plan, tmp_path / "small"
        )


def test_a_layer_that_a_file_is_loaded_into_and_that_goes_is_refused(tmp_path):
    """The file would be loaded into a layer that nothing uses any more."""
    kind = "speechbrain.lobes.models.transformer.Conformer.ConvolutionModule"
    text = (
        f"conv: !new:{kind} [4, 3]\nnet: {CHAIN}    - !ref <conv>\n"
        f"modules: {{net: !ref <net>}}\npretrainer: {PRETRAINER}\n"
        "    loadables: {conv: !ref <conv>}\n"
    )
    folder = directory(tmp_path, text, conv=ConvolutionModule(4, 3))
    for keep in (torch.arange(4) < 2, torch.zeros(4, dtype=torch.bool)):
        recogniser = load_model(folder, interface=Pretrained)
        [name] = find_units(recogniser.mods)
        where = (folder, recogniser, recogniser.mods)
        plan, small = PruningPlan({name: keep}), tmp_path / "small"
        if keep.any():
            write_narrowed_directory(*where, plan, small)
            masked = load_model(folder, interface=Pretrained)
            apply_masks(masked.mods, plan)
            x = torch.randn(2, 9, 4)
            found = load_model(small, interface=Pretrained).mods.net(x)
            torch.testing.assert_close(found, masked.mods.net(x))
        else:
            with pytest.raises(ExportError, match="module conv of .* single"):
                write_narrowed_directory(*where, plan, small)


FORMS = {
    "mapping": "\n    loadables: {net: !ref <net>}",
    "list": "\n    - null\n    - {net: !ref <net>}\n    - {net: hub/net.ckpt}",
    "hook": (
        "\n    loadables: {net: !ref <net>}\n    custom_hooks:\n"
        f"        net: !name:{__name__}.read_state"
    ),
    "condition": (
        "\n    loadables: {net: !ref <net>, lm: !ref <lm>}\n"
        "    paths: {lm: nobody/has/lm.ckpt}\n    conditions: {lm: False}"
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("referred", [False, True])
def test_pretrainers_of_any_form(form, referred, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "loader" if referred else "pretrainer"
    text = (
        f"net: {CHAIN}{STAGES}lm: !new:torch.nn.Linear [2, 2]\n"
        f"modules: {{net: !ref <net>}}\n{name}: {PRETRAINER}{FORMS[form]}\n"
    )
    text += "pretrainer: !ref <loader>\n" if referred else ""
    folder = directory(tmp_path, text, net=chain())
    if form == "hook":
        state = {"weights": chain().state_dict()}
        torch.save(state, folder / "net.ckpt")
    plan = write(folder, tmp_path / "small", Pretrained)
    same_as_masked(folder, tmp_path / "small", plan)
    made = (tmp_path / "small" / "hyperparams.yaml").read_text()
    assert ("nobody/has" in made) == (form == "condition")


def test_folders_come_along_and_what_stays_behind_is_named(tmp_path, caplog):
    folder = tmp_path / "hub"
    text = (
        f"place: {folder}\nnet: {CHAIN}{STAGES}modules: {{net: !ref <net>}}\n"
        f"words: !apply:{__name__}.read_text [!ref <place>/vocabulary/words]\n"
        f"pretrainer: {PRETRAINER}\n    loadables: {{net: !ref <net>}}\n"
        "    paths: {net: !ref <place>/net.ckpt}\n"
    )
    directory(tmp_path, text, net=chain())
    (folder / "vocabulary").mkdir()
    (folder / "vocabulary" / "words").write_text("a b")
    (folder / ".cache").mkdir()
    with caplog.at_level(logging.WARNING):
        # Inside of the larger one: it does not swallow itself.
        write(folder, folder / "small", Pretrained)
    assert f"({folder}/vocabulary/words)" in caplog.text
    small = folder / "small"
    assert (small / "vocabulary" / "words").read_text() == "a b"
    assert not (small / ".cache").exists() and not (small / "small").exists()
    load_model(small, interface=Pretrained)


def test_a_smaller_directory_may_be_written_again(hub, tmp_path):
    assert is_replaceable(tmp_path / "small")
    write(hub, tmp_path / "small", Pretrained)
    assert is_replaceable(tmp_path / "small")
    (tmp_path / "small" / "README.md").write_text("# mine")
    assert not is_replaceable(tmp_path / "small")
