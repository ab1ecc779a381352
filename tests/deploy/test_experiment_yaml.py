"""The yaml of experiments: read, moved, and without its gates."""

from pathlib import Path

import pytest
import torch
from hyperpyyaml import load_hyperpyyaml, resolve_references
from ruamel.yaml import YAML

from speechbrain_neuronprune.deploy.experiment_yaml import (
    compact_recipe,
    read_recipe,
    relocate,
)
from speechbrain_neuronprune.errors import ExperimentError

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


@pytest.mark.parametrize("resolved", [False, True])
@pytest.mark.parametrize("named", [False, True])
def test_a_compact_experiment_is_not_steered(named, resolved, tmp_path):
    """Its model has no gates."""
    network = f"{ATTACH} [{LINEAR}, {SCHEDULE} {{}}]"
    steer = "!apply:speechbrain_neuronprune.steer_size"
    text = NETWORK.format(network, folder=tmp_path) + (
        f"steered: {steer} {{model: !ref <model>, target_parameters: 0.5}}\n"
        if named
        else f"steered: {steer} [!ref <model>, 0.5]\n"
    )
    if resolved:  # as SpeechBrain copies it where options were given
        text = resolve_references(text).getvalue()
    made = compact_recipe(text, "model", "checkpointer", tmp_path)
    assert "steer_size" not in made and "attach_adaptive" not in made
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
