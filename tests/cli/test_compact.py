"""``neuronprune compact``.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
import shutil

import pytest
import torch

from speechbrain_neuronprune import PruningPlan
from speechbrain_neuronprune.deploy.experiment import open_experiment
from speechbrain_neuronprune.deploy.transcribe import load_model
from speechbrain_neuronprune.units import count_parameters
from tests.deploy.test_directory import RECIPE


def test_a_run_becomes_a_model_directory(call, done, paths, tmp_path):
    words = ("compact", paths["run"], "--target=0.8", "-o", tmp_path / "small")
    speech = ("--data", paths["data"], "--split=dev", "--json")
    found = json.loads(done(call(*words, *speech)).stdout)
    model = load_model(str(tmp_path / "small"))
    assert found["share"] == pytest.approx(0.8, abs=0.02)
    assert count_parameters(model.mods.encoder) == found["parameters"]
    assert found["cost"]["compact"]["parameters"] == found["parameters"]
    assert found["splits"]["dev"]["identical"] == 5
    assert found["max_difference"] < 1e-4
    card = (tmp_path / "small" / "README.md").read_text()
    assert "| dev | 5 |" in card


def test_a_plan_decides_alone(call, done, paths, tmp_path):
    """A plan that names few groups leaves the others whole, whatever the
    logits say."""
    path = tmp_path / "plan.json"
    words = ("plan", paths["run"], "--criterion=mbp", "--fraction=0.5")
    done(call(*words, "-o", path))
    words = ("compact", paths["run"], "--plan", path, "-o", tmp_path / "small")
    speech = ("--data", paths["data"], "--split=dev", "--json")
    found = json.loads(done(call(*words, *speech)).stdout)
    assert found["max_difference"] < 1e-4
    names = PruningPlan.load(tmp_path / "small" / "plan.json").keep.keys()
    assert all("ffn_module" in name for name in names)


def test_any_experiment_becomes_an_experiment(call, done, experiment, tmp_path):
    output = tmp_path / "small"
    words = ("compact", experiment, "--target=0.7", "-o", output, "--json")
    found = json.loads(done(call(*words)).stdout)
    assert found["dense_parameters"] == 58 + 6
    small = open_experiment(output)
    assert count_parameters(small.network) == found["parameters"] - 6
    assert found["share"] == pytest.approx(0.7, abs=0.06)


def test_a_model_directory_is_replaced(call, done, paths, tmp_path):
    output = shutil.copytree(paths["model"], tmp_path / "model")
    words = ("compact", paths["run"], "--threshold=-1e9", "-o", output)
    text = done(call(*words)).stdout
    assert "(100.0%)" in text and f"model: {output}" in text
    assert "Transformer" in (output / "hyperparams.yaml").read_text()


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    "more, message",
    [
        ((), "exactly one of --plan, --target, --threshold"),
        (("--target=0.8", "--data=corpus"), "--data and --split, both or ne"),
        (("--plan=plan.json", "--round-to=8"), "leave them out with --plan"),
        (("--plan=plan.json", "--balance-heads"), "leave them out with --plan"),
    ],
)
def test_options_that_make_no_sense(call, paths, tmp_path, more, message):
    result = call("compact", paths["run"], *more, "-o", tmp_path / "small")
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_plans_that_do_not_fit(call, sentence, paths, tmp_path):
    path, output = tmp_path / "plan.json", tmp_path / "small"

    def refused(source=paths["run"], plan=path):
        return sentence(call("compact", source, "--plan", plan, "-o", output))

    assert "cannot be read" in refused()
    PruningPlan({"dnn": torch.ones(3).bool()}).save(path)
    assert "names group dnn, which the model does not have" in refused()
    path.write_text(path.read_text().replace("0-2", "0-1"))
    assert "was altered or damaged" in refused()
    assert not output.exists()


def test_a_target_out_of_reach(call, sentence, paths, experiment, tmp_path):
    for source in (paths["run"], experiment):
        words = ("compact", source, "--target=1", "-o", tmp_path / "small")
        assert "is out of reach" in sentence(call(*words))
    assert not (tmp_path / "small").exists()


def test_outputs_that_hold_something_else(call, sentence, paths, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    words = ("compact", paths["run"], "--target=0.8", "-o", tmp_path)
    assert "holds other things, which would be" in sentence(call(*words))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_sources_that_cannot_be_compacted(
    call, sentence, paths, experiment, tmp_path
):
    words = ("--threshold=0", "-o", tmp_path / "small")
    message = sentence(call("compact", paths["model"], *words))
    assert "has no adaptive dropout" in message
    PruningPlan({}).save(tmp_path / "plan.json")
    words = ("--plan", tmp_path / "plan.json", "-o", tmp_path / "small")
    message = sentence(call("compact", RECIPE, *words))
    assert "is a yaml, which cannot be compacted" in message
    speech = ("--data", paths["data"], "--split=dev")
    for source in (experiment, paths["model"]):
        message = sentence(call("compact", source, *words, *speech))
        assert "for runs of the recipes only" in message
    assert not (tmp_path / "small").exists()


def test_a_model_directory_becomes_another(call, done, paths, tmp_path):
    path, output = tmp_path / "plan.json", tmp_path / "small"
    words = ("plan", paths["model"], "--criterion=mbp", "--fraction=0.5")
    done(call(*words, "-o", path))
    words = ("compact", paths["model"], "--plan", path, "-o", output, "--json")
    found = json.loads(done(call(*words)).stdout)
    model = load_model(output)
    assert count_parameters(model.mods.encoder) == found["parameters"]
    assert found["parameters"] < 0.7 * found["dense_parameters"]


def test_a_model_directory_is_not_replaced_by_its_smaller_self(
    call, sentence, paths, tmp_path
):
    source = shutil.copytree(paths["model"], tmp_path / "model")
    PruningPlan({}).save(tmp_path / "plan.json")
    words = ("compact", source, "--plan", tmp_path / "plan.json")
    message = sentence(call(*words, "-o", tmp_path / "." / "model"))
    assert "would take the place of" in message
    load_model(source)


def test_a_checkpoint_is_no_model_directory(call, sentence, paths, tmp_path):
    (tmp_path / "model.ckpt").write_text("weeks of training")
    words = ("compact", paths["run"], "--target=0.8", "-o", tmp_path)
    assert "holds other things, which would be" in sentence(call(*words))
    assert (tmp_path / "model.ckpt").read_text() == "weeks of training"


def test_damaged_speech(call, sentence, paths, tmp_path):
    data = shutil.copytree(paths["data"], tmp_path / "data")
    path = next(data.glob("dev/**/*.flac"))
    path.write_bytes(path.read_bytes()[:-500])
    words = ("compact", paths["run"], "--target=0.8", "-o", tmp_path / "small")
    message = sentence(call(*words, "--data", data, "--split=dev"))
    assert f"The audio file {path} cannot be decoded" in message
    assert not (tmp_path / "small").exists()
