"""Int8 directories: smaller, close to float, for every kind of attention.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import shutil

import pytest
import torch
from speechbrain.inference import EncoderASR
from speechbrain.inference.ASR import StreamingASR
from torch import nn

from speechbrain_neuronprune import PruningPlan, find_units
from speechbrain_neuronprune.deploy import (
    export_program,
    int8_model,
    quantise_directory,
)
from speechbrain_neuronprune.deploy.int8 import Int8Weight
from speechbrain_neuronprune.deploy.interfaces import STREAMING_ASR
from speechbrain_neuronprune.deploy.transcribe import load_model
from speechbrain_neuronprune.errors import DataError, ExportError
from tests.deploy.test_directory import Run
from tests.tiny_recogniser import write_recogniser

WAVS, LENGTHS = 0.1 * torch.randn(2, 8000), torch.tensor([1.0, 0.6])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.manual_seed(3)
    sizes = {"d_model": 64, "nhead": 4, "d_ffn": 256}
    return Run(tmp_path_factory.mktemp("run"), **sizes)


@pytest.fixture(scope="module")
def directory(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "model"
    run.write(folder, PruningPlan({}))
    return folder


@pytest.fixture(scope="module")
def int8(directory):
    return quantise_directory(directory, directory.with_name("int8"))


def size(folder):
    return sum(path.stat().st_size for path in folder.iterdir())


def test_it_is_smaller(directory, int8):
    weights = "model.ckpt"
    found, whole = ((f / weights).stat().st_size for f in (int8, directory))
    # The positional encoding, which is not quantised, takes 0.64 MB.
    assert found - 640_000 < 0.4 * (whole - 640_000)
    assert size(int8) < size(directory)


def test_speechbrain_loads_it_and_it_computes_nearly_the_same(directory, int8):
    whole = EncoderASR.from_hparams(source=str(directory))
    small = EncoderASR.from_hparams(source=str(int8))
    expected = whole.encode_batch(WAVS, LENGTHS)
    found = small.encode_batch(WAVS, LENGTHS)
    assert not torch.equal(found, expected)
    assert (found - expected).abs().mean() < 0.05 * expected.std()


def test_no_weight_of_a_product_is_float(int8):
    model = load_model(int8).hparams.model
    weights = {
        name: value.dtype
        for name, value in model.state_dict().items()
        # 0 is the convolutional front end
        if value.ndim == 2 and name[0] != "0" and "pos_bias" not in name
    }
    assert set(weights.values()) == {torch.int8}
    assert sum("in_proj_weight" in name for name in weights) == 2
    assert sum("bottleneck" in name for name in weights) == 2


@pytest.mark.parametrize("attention", ["RelPosMHAXL", "RoPEMHA", "regularMHA"])
@pytest.mark.parametrize("pruned", [False, True])
def test_projections_of_every_attention(tmp_path, attention, pruned):
    torch.manual_seed(4)
    run = Run(tmp_path, attention_type=attention, d_model=32)
    groups = find_units(run.dense) if pruned else {}
    plan = PruningPlan(
        {name: torch.rand(one.size) < 0.6 for name, one in groups.items()}
    )
    run.write(tmp_path / "model", plan)
    int8 = quantise_directory(tmp_path / "model", tmp_path / "int8")
    model = load_model(int8)
    names = [
        name
        for name, module in model.named_modules()
        if isinstance(module, Int8Weight) and "in_proj" in name
    ]
    assert len(names) == 2
    expected = load_model(tmp_path / "model").encode_batch(WAVS, LENGTHS)
    difference = model.encode_batch(WAVS, LENGTHS) - expected
    assert difference.abs().mean() < 0.1 * expected.std()


def test_a_chain_of_linear_layers(tmp_path):
    directory = write_recogniser(tmp_path / "run")
    int8 = quantise_directory(directory, tmp_path / "int8")
    expected = load_model(directory).encode_batch(WAVS, LENGTHS)
    found = load_model(int8).encode_batch(WAVS, LENGTHS)
    torch.testing.assert_close(found, expected, atol=0.1, rtol=0)


def test_streaming_directories_stay_streaming(run, tmp_path):
    run.write(tmp_path / "model", PruningPlan({}), STREAMING_ASR)
    int8 = quantise_directory(tmp_path / "model", tmp_path / "int8")
    asr = load_model(int8, interface=StreamingASR)
    assert isinstance(asr.mods.proj_enc.w.weight, Int8Weight)


def test_the_card_says_so_and_has_the_new_checksums(directory, int8):
    card = (int8 / "README.md").read_text()
    assert "## Int8" in card
    assert card.count("SHA-256") == 1
    (int8 / "model.ckpt").rename(int8 / "kept")
    (int8 / "model.ckpt").write_bytes((directory / "model.ckpt").read_bytes())
    with pytest.raises(DataError, match="model.ckpt is damaged"):
        load_model(int8)
    (int8 / "kept").replace(int8 / "model.ckpt")


def test_layers_without_inputs_are_left_alone():
    model = int8_model(nn.Sequential(nn.Linear(4, 0), nn.Linear(0, 3)))
    assert model(torch.randn(2, 4)).shape == (2, 3)


def test_int8_is_neither_quantised_nor_exported_again(int8, tmp_path):
    with pytest.raises(ExportError, match="is in int8"):
        quantise_directory(int8, tmp_path / "again")
    with pytest.raises(ExportError, match="is in int8"):
        export_program(int8, tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())


def test_nothing_else_is_overwritten(directory, tmp_path):
    (tmp_path / "thesis.txt").write_text("do not lose")
    (tmp_path / "hyperparams.yaml").write_text("of: a training run")
    with pytest.raises(ExportError, match="no model directory"):
        quantise_directory(directory, tmp_path)
    with pytest.raises(ExportError, match="would be lost"):
        quantise_directory(directory, directory.parent / "x" / ".." / "model")
    with pytest.raises(ExportError, match="inside of it"):
        quantise_directory(directory, directory / "int8")
    with pytest.raises(ExportError, match="no model directory"):
        quantise_directory(directory, tmp_path / "thesis.txt")
    assert (tmp_path / "thesis.txt").read_text() == "do not lose"
    assert len(list(tmp_path.iterdir())) == 2
    assert (directory / "model.ckpt").is_file()
    assert not (directory / "int8").exists()


def test_models_of_others_are_refused(directory, tmp_path):
    model = shutil.copytree(directory, tmp_path / "model")
    (model / "README.md").unlink()
    yaml = model / "hyperparams.yaml"
    yaml.write_text(
        yaml.read_text()
        .replace("\nmodel:", "\nweights:")
        .replace("!ref <model>", "!ref <weights>")
    )
    with pytest.raises(ExportError, match="has no entry named model"):
        quantise_directory(model, tmp_path / "int8")


def test_an_output_that_cannot_be_written(directory, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="cannot be written"):
        quantise_directory(directory, tmp_path / "file" / "int8")
