"""Experiment folders: opened wherever they are, or refused with a reason."""

import shutil

import pytest
import torch

from speechbrain_neuronprune import PruningPlan, find_units
from speechbrain_neuronprune.deploy.experiment import (
    open_experiment,
    write_compact_experiment,
)
from speechbrain_neuronprune.errors import (
    ExperimentError,
    TrainingError,
    UnitsError,
)
from speechbrain_neuronprune.units import count_parameters
from tests.tiny_stock import LINES, RECIPE, newest, train, write_yaml


def test_the_last_checkpoint_is_loaded(trained):
    experiment = open_experiment(trained)
    state = torch.load(newest(trained) / "model.ckpt")
    assert experiment.recoverable == "model"
    assert experiment.gated
    assert not experiment.network.training
    for name, value in experiment.network.state_dict().items():
        torch.testing.assert_close(value, state[name])


def test_a_moved_folder_is_opened_where_it_is(run, trained):
    experiment = open_experiment(run)
    assert experiment.hparams["output_folder"] == str(run)
    assert experiment.checkpointer.checkpoints_dir == run / "save"
    assert str(trained) not in experiment.recipe


def test_an_average_leaves_out_what_is_not_pruned_yet(trained):
    """The schedule ends after 6 steps, at the end of the last epoch."""
    assert len(list(trained.glob("save/CKPT+*"))) == 3
    one, many = open_experiment(trained), open_experiment(trained, average=3)
    for name, value in many.network.state_dict().items():
        torch.testing.assert_close(value, one.network.state_dict()[name])


def test_checkpoints_of_one_phase_are_averaged(run):
    """Without an end of the schedule in sight, the steps count; equal ones
    are averaged."""
    first, last = sorted(run.glob("save/CKPT+*"))[-2:]
    state = torch.load(last / "model.ckpt")
    name = "2.w.weight"
    torch.save({**state, name: state[name] + 2.0}, first / "model.ckpt")
    experiment = open_experiment(run, average=2)
    torch.testing.assert_close(
        experiment.network.state_dict()[name], state[name] + 1.0
    )


def test_overrides_reach_the_yaml(trained):
    experiment = open_experiment(trained, overrides={"avg_checkpoints": 7})
    assert experiment.hparams["avg_checkpoints"] == 7
    assert "avg_checkpoints: 7" in experiment.recipe


def test_an_experiment_without_gates_has_units(tmp_path):
    overrides = {"output_folder": str(tmp_path / "run"), "number_of_epochs": 1}
    train(write_yaml(tmp_path, lines=""), overrides)
    experiment = open_experiment(tmp_path / "run")
    assert not experiment.gated
    keep = {
        name: torch.arange(group.size) < 3
        for name, group in find_units(experiment.network, "ffn").items()
    }
    output = write_compact_experiment(
        experiment, PruningPlan(keep), tmp_path / "compact"
    )
    small = open_experiment(output).network
    assert count_parameters(small) < count_parameters(experiment.network)


def test_a_folder_without_yaml_is_refused(tmp_path):
    with pytest.raises(ExperimentError, match="no hyperparams.yaml"):
        open_experiment(tmp_path)


def test_yaml_that_cannot_be_loaded_is_named(tmp_path):
    (tmp_path / "hyperparams.yaml").write_text("a: !new:no.such.Thing\n")
    with pytest.raises(ExperimentError, match="no.such.Thing"):
        open_experiment(tmp_path)


def test_a_folder_without_checkpoints_is_refused(run):
    for checkpoint in run.glob("save/CKPT+*"):
        shutil.rmtree(checkpoint)
    with pytest.raises(ExperimentError, match="no checkpoint of model"):
        open_experiment(run)


def test_a_recipe_without_checkpointer_is_refused(tmp_path):
    (tmp_path / "hyperparams.yaml").write_text("a: 1\n")
    with pytest.raises(ExperimentError, match="no Checkpointer"):
        open_experiment(tmp_path)


def test_a_recipe_without_units_is_refused(tmp_path):
    text = (RECIPE + LINES).replace("model: !ref <model>", "x: !ref <ctc_lin>")
    text = text.replace("!ref <Transformer>, ", "").partition("gated:")[0]
    (tmp_path / "hyperparams.yaml").write_text(text)
    with pytest.raises(UnitsError, match="x, normalizer"):
        open_experiment(tmp_path, overrides={"output_folder": "x"})


@pytest.mark.parametrize("name", ["model.ckpt", "CKPT.yaml"])
def test_a_damaged_checkpoint_is_named(run, name):
    (newest(run) / name).write_bytes(b"")
    with pytest.raises(TrainingError, match=str(run / "save")):
        open_experiment(run)


def test_a_checkpoint_of_another_architecture_is_named(run):
    overrides = {"Transformer": {"d_ffn": 12}}
    with pytest.raises(TrainingError, match="size mismatch"):
        open_experiment(run, overrides=overrides)
