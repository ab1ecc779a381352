"""``neuronprune export``: what is exported is tested in tests/deploy.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import importlib
import json
import shutil

import pytest

from speechbrain_neuronprune.cli.export import DOORS
from speechbrain_neuronprune.deploy.parity import Parity
from speechbrain_neuronprune.deploy.transcribe import load_model

NAMES = {
    "onnx": "model.onnx",
    "torch": "model.pt2",
    "int8": "model",
    "streaming": "model",
}


def test_a_program_and_how_it_compares(call, done, paths, monkeypatch):
    given = []

    def export(model, output):
        given.extend([model, output])
        return Parity(2e-6, 10)

    monkeypatch.setitem(DOORS, "torch", export)
    words = ("export", paths["model"], "--torch", "model.pt2")
    assert done(call(*words)).stdout == (
        "output: model.pt2\n"
        "largest difference of log-posteriors in 10 batches: 2.0e-06\n"
    )
    assert given == [paths["model"], "model.pt2"]


def test_onnx(call, done, paths, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    output = tmp_path / "model.onnx"
    words = ("export", paths["model"], "--onnx", output, "--json")
    found = json.loads(done(call(*words)).stdout)
    assert found["output"] == str(output)
    assert found["max_difference"] < 1e-4
    assert found["cases"] >= 10
    assert output.is_file()


def test_int8(call, done, paths, tmp_path):
    output = tmp_path / "int8"
    words = ("export", paths["model"], "--int8", output, "--json")
    found = json.loads(done(call(*words)).stdout)
    assert found == {"output": str(output)}
    assert load_model(str(output))


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize("option", DOORS)
def test_no_model(call, sentence, option, tmp_path):
    output = tmp_path / NAMES[option]
    message = sentence(call("export", "nowhere", f"--{option}", output))
    assert "nowhere" in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", DOORS)
def test_a_damaged_model(call, sentence, option, paths, tmp_path):
    model = shutil.copytree(paths["model"], tmp_path / "damaged")
    (model / "model.ckpt").write_bytes(b"no weights at all")
    output = tmp_path / "out" / NAMES[option]
    message = sentence(call("export", model, f"--{option}", output))
    assert str(model) in message
    assert not output.exists()


@pytest.mark.parametrize("option", DOORS)
def test_outputs_that_cannot_be_written(
    call, sentence, option, paths, tmp_path
):
    (tmp_path / "file").write_text("in the way")
    output = tmp_path / "file" / NAMES[option]
    message = sentence(call("export", paths["model"], f"--{option}", output))
    assert str(output) in message


def test_a_missing_library(call, sentence, paths, tmp_path, monkeypatch):
    found = importlib.import_module

    def fail(name, package=None):
        if name.startswith("onnx"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return found(name, package)

    monkeypatch.setattr(importlib, "import_module", fail)
    words = ("export", paths["model"], "--onnx", tmp_path / "model.onnx")
    assert "pip install 'speechbrain-neuronprune[export]'" in sentence(
        call(*words)
    )


def test_one_door_at_a_time(call, paths):
    result = call("export", paths["model"])
    assert result.exit_code == 2
    assert "exactly one of --onnx, --torch, --int8, --str" in result.stderr


@pytest.mark.parametrize("option", DOORS)
def test_a_run_in_place_of_its_model(call, sentence, option, paths, tmp_path):
    output = tmp_path / NAMES[option]
    message = sentence(call("export", paths["run"], f"--{option}", output))
    assert "is no model directory (it is a training run)" in message
    assert list(tmp_path.iterdir()) == []


def test_int8_is_for_use_only(call, done, sentence, paths, tmp_path):
    int8 = tmp_path / "int8"
    done(call("export", paths["model"], "--int8", int8))
    speech = (f"--data={paths['data']}", "--rank=train", "--home=dev")
    for words in (
        ("units", int8),
        ("plan", int8, "--criterion=mbp", "--fraction=0.5", "-o", "plan.json"),
        ("analyze", int8, *speech, "-o", tmp_path / "analysis"),
    ):
        assert "is in int8, which is for use only" in sentence(call(*words))
