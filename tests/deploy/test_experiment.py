"""Experiment folders: opened wherever they are, or refused with a reason.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import shutil
from pathlib import Path

import pytest
import torch
from hyperpyyaml import load_hyperpyyaml
from ruamel.yaml import YAML

from speechbrain_neuronprune import PruningPlan, find_units
from speechbrain_neuronprune.deploy.experiment import (
    open_experiment,
    write_compact_experiment,
)
from speechbrain_neuronprune.deploy.experiment_yaml import (
    compact_recipe,
    read_recipe,
    relocate,
)
from speechbrain_neuronprune.errors import (
    ExperimentError,
    PlanError,
    TrainingError,
    UnitsError,
)
from speechbrain_neuronprune.units import count_parameters
from tests.tiny_stock import LINES, RECIPE, train, write_yaml


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A pruning run of three epochs, with all its checkpoints."""
    folder = tmp_path_factory.mktemp("experiment")
    overrides = {"output_folder": str(folder / "run"), "avg_checkpoints": 9}
    train(write_yaml(folder), overrides)
    return folder / "run"


@pytest.fixture
def run(trained, tmp_path):
    """A copy of it, elsewhere."""
    return shutil.copytree(trained, tmp_path / "moved")


@pytest.fixture(scope="module")
def half(trained):
    """A plan that keeps every second unit."""
    units = find_units(open_experiment(trained).network)
    return PruningPlan(
        {n: torch.arange(group.size) % 2 < 1 for n, group in units.items()}
    )


def newest(run):
    return max(run.glob("save/CKPT+*"))


# ------------------------------------------------------------------ opening


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


# ------------------------------------------------------------------ writing


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


# --------------------------------------------------------------------- yaml

ATTACH = "!apply:speechbrain_neuronprune.attach_adaptive_dropout"
SCHEDULE = "!new:speechbrain_neuronprune.RetentionSchedule"
NETWORK = """
model: {}
checkpointer: !new:speechbrain.utils.checkpoints.Checkpointer
    checkpoints_dir: {folder}
"""
LINEAR = "!new:torch.nn.Linear [2, 3]"


@pytest.mark.parametrize(
    "attached",
    [
        f"{ATTACH} [{LINEAR}, {SCHEDULE} {{}}]",
        f"{ATTACH} {{model: {LINEAR}, schedule: {SCHEDULE} {{}}, gamma: 0.1}}",
    ],
    ids=["positions", "names"],
)
def test_wrapped_models_are_unwrapped(attached, tmp_path):
    text = NETWORK.format(attached, folder=tmp_path)
    made = compact_recipe(text, "model", "checkpointer", tmp_path)
    assert "attach_adaptive_dropout" not in made
    made = made.partition("narrowed:")[0]  # a Linear alone has no units
    assert load_hyperpyyaml(made)["model"].weight.shape == (3, 2)


@pytest.mark.parametrize("named", [False, True])
def test_a_compact_experiment_is_not_steered(named, tmp_path):
    """Its model has no gates."""
    network = f"{ATTACH} [{LINEAR}, {SCHEDULE} {{}}]"
    steer = "!apply:speechbrain_neuronprune.steer_size"
    text = NETWORK.format(network, folder=tmp_path) + (
        f"steered: {steer} {{model: !ref <model>, target_parameters: 0.5}}\n"
        if named
        else f"steered: {steer} [!ref <model>, 0.5]\n"
    )
    made = compact_recipe(text, "model", "checkpointer", tmp_path)
    assert "steer_size" not in made
    hparams = load_hyperpyyaml(made.partition("narrowed:")[0])
    assert hparams["steered"] is hparams["model"]


def test_shared_paths_are_moved_once(tmp_path):
    """Also if the new folder is in the old one."""
    text = "output_folder: /a\nopts: &opts {path: /a/b}\nmore: *opts\n"
    recipe = YAML().load(text)
    relocate(recipe, Path("/a/new"))
    assert recipe["opts"]["path"] == recipe["more"]["path"] == "/a/new/b"


def test_words_that_the_folder_is_called_by_are_no_paths():
    text = "output_folder: conformer\nkind: conformer\nsave: conformer/save\n"
    recipe = YAML().load(text)
    relocate(recipe, Path("/new"))
    assert dict(recipe) == {
        "output_folder": "/new",
        "kind": "conformer",
        "save": "/new/save",
    }


def test_a_checkpointer_with_its_arguments_in_order(tmp_path):
    kind = "!new:speechbrain.utils.checkpoints.Checkpointer"
    text = (
        f"output_folder: {tmp_path}\nmodel: {LINEAR}\n"
        f"checkpointer: {kind}\n    - !ref <output_folder>/save\n"
        "    - {model: !ref <model>}\n"
    )
    made = compact_recipe(text, "model", "checkpointer", tmp_path)
    made = load_hyperpyyaml(made.partition("narrowed:")[0])
    assert made["checkpointer"].allow_partial_load
    assert list(made["checkpointer"].recoverables) == ["model"]


def test_a_checkpointer_of_another_kind_is_named(tmp_path):
    text = f"output_folder: {tmp_path}\nmodel: {LINEAR}\ncheckpointer: mine\n"
    with pytest.raises(ExperimentError, match="checkpointer of the yaml is no"):
        compact_recipe(text, "model", "checkpointer", tmp_path)


def test_wrapped_models_that_are_shared_stay_one(tmp_path):
    text = NETWORK.format(
        f"&m {ATTACH} [{LINEAR}, {SCHEDULE} {{}}]", folder=tmp_path
    )
    text += "modules: {linear: *m}\n"
    made = compact_recipe(text, "model", "checkpointer", tmp_path)
    hparams = load_hyperpyyaml(made.partition("narrowed:")[0])
    assert hparams["model"] is hparams["modules"]["linear"]


def test_scalars_that_are_shared_survive(tmp_path):
    """What yaml calls id001 here, it may call otherwise the next time."""
    path = tmp_path / "hyperparams.yaml"
    path.write_text(
        "a: &id001 (2, 2)\nb: &id002 (3, 3)\ntanh: &id003 !name:torch.tanh\n"
        "c: *id001\nd: *id002\ne: *id003\nf: {g: [*id001,*id002]}\n"
    )
    for _ in range(3):
        text = read_recipe(path)
        hparams = load_hyperpyyaml(text)
        assert (hparams["c"], hparams["d"]) == ((2, 2), (3, 3))
        assert hparams["e"](torch.zeros(1)) == 0
        assert hparams["f"]["g"] == [(2, 2), (3, 3)]
        path.write_text(text)
