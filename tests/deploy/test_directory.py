"""The model directory: loads offline, moves anywhere, is whole or absent.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy
import hashlib
import os
import shutil
import sys
from pathlib import Path

import pytest
import soundfile
import torch
from hyperpyyaml import load_hyperpyyaml, resolve_references
from speechbrain.inference import EncoderASR
from speechbrain.inference.ASR import StreamingASR
from speechbrain.nnet.CNN import Conv2d

from speechbrain_neuronprune import (
    PruningPlan,
    apply_masks,
    compact,
    find_units,
    use_fast_layers,
)
from speechbrain_neuronprune.deploy import transcribe
from speechbrain_neuronprune.deploy.card import model_card
from speechbrain_neuronprune.deploy.directory import (
    inference_yaml,
    write_model_directory,
)
from speechbrain_neuronprune.deploy.interfaces import ENCODER_ASR
from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.layers.front_end import FastConv2d
from speechbrain_neuronprune.training.tokens import train_tokenizer

RECIPE = Path(__file__).parents[2] / "hparams" / "conformer_ctc_mini.yaml"
COST = {
    "parameters": 1000,
    "macs": 2_000_000,
    "latency_ms": 3.0,
    "real_time_factor": 0.001,
    "peak_memory_mb": 4.0,
}
WER = {"dense": 4.0, "masked": 5.25, "compact": 5.25}
CER = {"dense": 1.0, "masked": 1.25, "compact": 1.25}
RATES = {**WER, "utterances": 9, "identical": 9, "cer": CER}
RESULTS = {
    "name": "tiny",
    "seed": 7,
    "max_difference": 1e-6,
    "splits": {"test-clean": RATES},
    "cost": {
        "dense": COST,
        "masked": COST,
        "compact": {**COST, "parameters": 400},
    },
    "training": {"train_splits": "train-clean", "steps": 12},
    "example": {"sample_rate": 16000, "seconds": 10.0, "device": "cpu"},
}


class Run:
    """A run folder as the recipe leaves it, with an untrained model."""

    def __init__(self, folder, **changes):
        overrides = {
            "data_folder": "unused",
            "output_folder": str(folder),
            "vocab_size": 3,
            "num_encoder_layers": 2,
            "d_model": 16,
            "nhead": 2,
            "d_ffn": 24,
            "kernel_size": 5,
            "cnn_channels": 2,
            **changes,
        }
        self.recipe = folder / "hyperparams.yaml"
        with open(RECIPE, encoding="utf-8") as file:
            text = resolve_references(file, overrides).getvalue()
        self.recipe.write_text(text, encoding="utf-8")
        self.hparams = load_hyperpyyaml(text)
        self.modules = self.hparams["modules"]
        self.dense = self.modules["Transformer"].eval()
        features = torch.randn(4, 50, self.hparams["n_mels"])
        self.modules["normalize"].train()(features, epoch=0)
        self.tokenizer = folder / "tokenizer.model"
        train_tokenizer(["GO STOP"], self.tokenizer, "word", 3)

    @property
    def network(self):
        names = ("CNN", "Transformer", "ctc_lin")
        return {name: self.modules[name] for name in names}

    def yaml(self):
        """The yaml without any widths."""
        return inference_yaml(self.recipe, self.network, "Transformer", {})

    def plan(self):
        """Half the units, two heads of different widths, one empty group."""
        groups = find_units(self.dense)
        keep = {
            name: torch.arange(g.size) % 2 < 1 for name, g in groups.items()
        }
        keep["encoder.layers.0.mha_layer.query"] = torch.arange(16) < 11
        keep["encoder.layers.1.ffn_module1"][:] = False
        return PruningPlan(keep)

    def write(self, folder, plan, interface=ENCODER_ASR):
        write_model_directory(
            folder,
            recipe=self.recipe,
            normalize=self.modules["normalize"],
            network=self.network | {"Transformer": compact(self.dense, plan)},
            pruned="Transformer",
            tokenizer=self.tokenizer,
            plan=plan,
            dense=self.dense,
            results=RESULTS,
            interface=interface,
        )

    def recognise(self, wavs, lengths, plan):
        """What the masked model computes."""
        network = apply_masks(copy.deepcopy(self.dense), plan)
        for module in self.modules.values():
            module.eval()
        features = self.hparams["compute_features"](wavs)
        features = self.modules["normalize"](features, lengths)
        hidden = self.modules["CNN"](features)
        encoded = network.encode(hidden, lengths)
        return self.hparams["log_softmax"](self.modules["ctc_lin"](encoded))


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


@pytest.fixture
def directory(run, tmp_path):
    run.write(tmp_path / "model", run.plan())
    return tmp_path / "model"


def test_it_computes_what_the_masked_model_computed(run, directory):
    asr = EncoderASR.from_hparams(source=str(directory))
    wavs, lengths = torch.randn(2, 16000), torch.tensor([1.0, 0.6])
    with torch.no_grad():
        expected = run.recognise(wavs, lengths, run.plan())
        found = asr.encode_batch(wavs, lengths)
    valid = round(0.6 * found.shape[1])
    torch.testing.assert_close(found[0], expected[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(
        found[1, :valid], expected[1, :valid], atol=1e-5, rtol=0
    )


def test_it_may_be_moved(directory, tmp_path):
    moved = tmp_path / "elsewhere" / "renamed"
    moved.parent.mkdir()
    shutil.move(directory, moved)
    EncoderASR.from_hparams(source=str(moved))
    for path in moved.iterdir():
        assert str(tmp_path).encode() not in path.read_bytes()


def test_its_files(directory):
    assert {path.name for path in directory.iterdir()} == {
        "hyperparams.yaml",
        "model.ckpt",
        "normalizer.ckpt",
        "tokenizer.ckpt",
        "plan.json",
        "README.md",
    }
    weights = torch.load(directory / "model.ckpt", weights_only=True)
    assert all(torch.is_tensor(value) for value in weights.values())
    assert not any("logits" in name for name in weights)
    PruningPlan.load(directory / "plan.json")


def test_the_yaml_knows_nothing_of_training(directory):
    text = (directory / "hyperparams.yaml").read_text()
    for word in ("attach", "retention", "opt_class", "data_folder", "seed"):
        assert word not in text


def test_a_model_that_keeps_everything_is_plain_speechbrain(run, tmp_path):
    run.write(tmp_path / "model", PruningPlan({}))
    text = (tmp_path / "model" / "hyperparams.yaml").read_text()
    assert "!apply:" not in text
    EncoderASR.from_hparams(source=str(tmp_path / "model"))


def test_a_fast_front_end_stays_fast(run, tmp_path):
    plain, x = copy.deepcopy(run.modules["CNN"]), torch.randn(1, 30, 80)
    use_fast_layers(run.modules["CNN"])
    run.write(tmp_path / "model", run.plan())
    loaded = EncoderASR.from_hparams(source=str(tmp_path / "model"))
    parts = [type(part) for part in loaded.modules()]
    assert FastConv2d in parts and Conv2d not in parts
    torch.testing.assert_close(loaded.mods.encoder.CNN(x), plain.eval()(x))


def test_a_recipe_without_gates_gives_the_same_yaml(run):
    text = run.recipe.read_text()
    dense = RECIPE.with_name("conformer_ctc_mini_dense.yaml")
    gated = run.yaml()
    with open(dense, encoding="utf-8") as file:
        overrides = load_hyperpyyaml(text)
        names = ("vocab_size", "num_encoder_layers", "d_model", "nhead")
        names += ("d_ffn", "kernel_size", "cnn_channels")
        names += ("transformer_dropout", "output_folder")
        changes = {name: overrides[name] for name in names}
        changes["data_folder"] = "unused"
        run.recipe.write_text(resolve_references(file, changes).getvalue())
    assert _same_values(run.yaml(), gated)


def _same_values(first, second):
    lines = [
        [line.strip() for line in text.splitlines() if ":" in line]
        for text in (first, second)
    ]
    return lines[0] == lines[1]


def test_the_card_has_the_figures(directory):
    card = (directory / "README.md").read_text()
    assert "**40.0%** of its parameters" in card
    rates = "4.00 (1.00) | 5.25 (1.25) | 5.25 (1.25)"
    assert f"| test-clean | 9 | {rates} |" in card
    assert "seed 7; 12 optimizer steps" in card
    assert "largest difference" in card


@pytest.mark.parametrize("learned", [False, True])
def test_the_card_says_only_what_is_known(learned):
    training = RESULTS["training"] | {"learned_retention": learned}
    card = model_card(RESULTS | {"training": training, "splits": {}})
    assert ("by adaptive dropout while it was" in card) == learned
    assert "Not measured when this model was made." in card
    assert "difference" not in card


def test_a_failure_leaves_the_old_directory_alone(run, directory, tmp_path):
    before = (directory / "model.ckpt").read_bytes()
    run.tokenizer.unlink()
    with pytest.raises(FileNotFoundError):
        run.write(directory, PruningPlan({}))
    assert (directory / "model.ckpt").read_bytes() == before
    assert not list(tmp_path.glob(".model*"))


def test_an_old_directory_is_replaced_as_a_whole(run, directory, tmp_path):
    (directory / "stray.txt").write_text("from before")
    run.write(directory, PruningPlan({}))
    assert not (directory / "stray.txt").exists()
    assert not list(tmp_path.glob(".model*"))


# -------------------------------------------------------------- transcribing


@pytest.fixture
def wav(tmp_path):
    path = tmp_path / "speech.wav"
    soundfile.write(path, torch.randn(8000).numpy() / 10, 16000)
    return path


def test_files_are_transcribed(directory, wav, capsys):
    flac = wav.with_suffix(".flac")
    soundfile.write(flac, *soundfile.read(wav))
    assert transcribe.main([str(directory), str(wav), str(flac)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{wav}: ")
    assert first.split(": ")[1] == second.split(": ")[1]


def test_a_reader_may_have_enough(directory, wav, monkeypatch, capsys):
    end, beginning = os.pipe()
    os.close(end)
    with open(beginning, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert transcribe.main([str(directory), str(wav)]) == 1
    assert "error" not in capsys.readouterr().err


def test_a_device_that_is_not_there_is_named(directory):
    with pytest.raises(DataError, match="The device gpu cannot be used"):
        transcribe.load_model(directory, "gpu")


def test_a_folder_without_a_model_is_an_error(tmp_path, wav, capsys):
    assert transcribe.main([str(tmp_path / "none"), str(wav)]) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"error: The folder {tmp_path / 'none'} is no")


def test_missing_audio_is_an_error(directory, tmp_path, capsys):
    path = tmp_path / "none.wav"
    assert transcribe.main([str(directory), str(path)]) == 1
    assert f"error: There is no audio file {path}" in capsys.readouterr().err


@pytest.mark.parametrize("samples", [1, 160, 399])
def test_audio_shorter_than_a_frame_is_an_error_or_not(
    directory, tmp_path, samples, capsys
):
    path = tmp_path / "short.wav"
    soundfile.write(path, torch.randn(samples).numpy() / 10, 16000)
    failed = transcribe.main([str(directory), str(path)])
    out, err = capsys.readouterr()
    message = f"error: The audio file {path} is too short, with {samples} sa"
    assert err.startswith(message) if failed else out.startswith(f"{path}: ")
    assert failed or samples > 160


@pytest.mark.parametrize("content", [b"", b"RIFF but nothing else"])
def test_unreadable_audio_is_an_error(directory, tmp_path, content, capsys):
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    assert transcribe.main([str(directory), str(path)]) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"error: The audio file {path} cannot be read")


@pytest.mark.parametrize("name", ["model.ckpt", "tokenizer.ckpt"])
def test_a_damaged_directory_is_an_error(directory, wav, name, capsys):
    content = (directory / name).read_bytes()
    (directory / name).write_bytes(content[: len(content) // 2])
    assert transcribe.main([str(directory), str(wav)]) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"error: The model directory {directory} cannot")
    for digest in (content, content[: len(content) // 2]):
        assert hashlib.sha256(digest).hexdigest() in message
    assert name in message


def test_a_directory_whose_yaml_is_damaged_is_an_error(directory):
    (directory / "hyperparams.yaml").write_text("encoder: !new:no.such_thing")
    with pytest.raises(DataError, match="cannot be loaded"):
        transcribe.load_model(directory)


def test_a_directory_for_another_interface_is_an_error(directory):
    with pytest.raises(DataError, match="cannot be loaded"):
        transcribe.load_model(directory, interface=StreamingASR)
