"""Compact experiment folders: all of the dense one, but for its units."""

import shutil

import pytest
import torch

from speechbrain_neuronprune import PruningPlan
from speechbrain_neuronprune.deploy.experiment import (
    open_experiment,
    write_compact_experiment,
)
from speechbrain_neuronprune.errors import ExperimentError, PlanError
from tests.tiny_stock import newest


def test_the_compact_folder_has_all_but_the_optimizer(run, half, tmp_path):
    experiment = open_experiment(run)
    output = write_compact_experiment(experiment, half, tmp_path / "compact")
    (checkpoint,) = output.glob("save/CKPT+*")
    assert {path.name for path in checkpoint.iterdir()} == {
        "CKPT.yaml",
        "brain.ckpt",
        "counter.ckpt",
        "model.ckpt",
        "noam_scheduler.ckpt",
        "normalizer.ckpt",
    }
    assert (checkpoint / "counter.ckpt").read_text() == "3"
    assert (output / "save/tokens.model").read_text() == "tokens"
    assert (output / "train.csv").is_file()
    assert (
        PruningPlan.load(output / "plan.json").keep.keys() == half.keep.keys()
    )


def test_the_experiment_is_unchanged(run, half, tmp_path):
    experiment = open_experiment(run)
    before = sorted(path for path in run.rglob("*"))
    write_compact_experiment(experiment, half, tmp_path / "compact")
    assert experiment.gated
    assert sorted(path for path in run.rglob("*")) == before


def test_an_unfinished_run_is_not_trained_further(run, half, tmp_path):
    for checkpoint in sorted(run.glob("save/CKPT+*"))[1:]:
        shutil.rmtree(checkpoint)
    experiment = open_experiment(run)
    assert experiment.hparams["epoch_counter"].current == 1
    output = write_compact_experiment(experiment, half, tmp_path / "compact")
    assert open_experiment(output).hparams["epoch_counter"].current == 3


def test_figures_come_from_older_checkpoints_if_need_be(run, half, tmp_path):
    """A checkpoint within an epoch has no loss, by which evaluation looks."""
    path = newest(run) / "CKPT.yaml"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(x for x in lines if not x.startswith("loss")))
    experiment = open_experiment(run)
    output = write_compact_experiment(experiment, half, tmp_path / "compact")
    (checkpoint,) = open_experiment(output).checkpoints
    assert "loss" in checkpoint.meta


def test_links_in_the_save_folder_still_lead_somewhere(run, half, tmp_path):
    (tmp_path / "lm.ckpt").write_text("large")
    (run / "save/lm.ckpt").symlink_to("../../lm.ckpt")
    experiment = open_experiment(run)
    output = write_compact_experiment(
        experiment, half, tmp_path / "deep/er/compact"
    )
    assert (output / "save/lm.ckpt").read_text() == "large"


def test_a_compact_experiment_is_not_compacted_again(run, half, tmp_path):
    experiment = open_experiment(run)
    output = write_compact_experiment(experiment, half, tmp_path / "compact")
    again = open_experiment(output)
    with pytest.raises(ExperimentError, match="compact experiment already"):
        write_compact_experiment(again, half, tmp_path / "more")


def test_an_existing_output_is_refused(run, half, tmp_path):
    with pytest.raises(ExperimentError, match="exists"):
        write_compact_experiment(open_experiment(run), half, run)


def test_an_output_that_cannot_be_written_is_named(run, half, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExperimentError, match="cannot be written"):
        write_compact_experiment(
            open_experiment(run), half, tmp_path / "file/compact"
        )


def test_a_failure_leaves_nothing(run, half, tmp_path):
    experiment = open_experiment(run)
    (newest(run) / "brain.ckpt").unlink()
    experiment.checkpoints[0].paramfiles["brain"] = run / "gone.ckpt"
    with pytest.raises(ExperimentError, match="gone.ckpt"):
        write_compact_experiment(experiment, half, tmp_path / "compact")
    assert {path.name for path in tmp_path.iterdir()} == {"moved"}


def test_a_plan_of_another_model_is_refused(run, tmp_path):
    plan = PruningPlan({"1.elsewhere": torch.ones(3, dtype=torch.bool)})
    with pytest.raises(PlanError, match="elsewhere"):
        write_compact_experiment(open_experiment(run), plan, tmp_path / "new")


def test_checkpoints_elsewhere_are_refused(run, half, tmp_path):
    shutil.move(run / "save", tmp_path / "save")
    overrides = {"checkpointer": {"checkpoints_dir": str(tmp_path / "save")}}
    experiment = open_experiment(run, overrides=overrides)
    with pytest.raises(ExperimentError, match="not in a folder within"):
        write_compact_experiment(experiment, half, tmp_path / "compact")
