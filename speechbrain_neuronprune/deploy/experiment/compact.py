"""The experiment folder of a compact model, made of that of the dense one.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy
import shutil
from pathlib import Path
from typing import Any

import torch
from speechbrain.utils.checkpoints import Checkpoint, Checkpointer
from speechbrain.utils.epoch_loop import EpochCounter
from torch import nn

from speechbrain_neuronprune import compaction
from speechbrain_neuronprune.deploy.experiment.opening import Experiment
from speechbrain_neuronprune.deploy.experiment_yaml import (
    NARROWED,
    compact_recipe,
)
from speechbrain_neuronprune.errors import ExperimentError
from speechbrain_neuronprune.file_names import PLAN, RECIPE
from speechbrain_neuronprune.files import PathLike, writing
from speechbrain_neuronprune.folders import require_vacant, whole_folder
from speechbrain_neuronprune.plan import PruningPlan

MANIFESTS = (".csv", ".json", ".pkl")


def write_compact_experiment(
    experiment: Experiment, plan: PruningPlan, output: PathLike
) -> Path:
    """Write the experiment folder of the compact model, whole or not at all.

    The training script of the experiment, given the new folder's yaml, trains
    nothing more and evaluates the compact model. With a higher limit of its
    epoch counter it trains it further, with a fresh optimiser.

    Arguments
    ---------
    experiment : Experiment
        What ``open_experiment`` returns; it is not changed.
    plan : PruningPlan
        Which units of its network stay.
    output : path-like
        The folder to write; it must be new or empty.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ExperimentError
        If the folder cannot be written, or the experiment cannot be carried
        over.
    PlanError
        If the plan does not fit the network.
    """
    output = Path(output).resolve()
    require_vacant(output, ExperimentError)
    _require_dense(experiment)
    recipe = compact_recipe(
        experiment.recipe,
        network=_name_of(experiment, experiment.network),
        checkpointer=_name_of(experiment, experiment.checkpointer),
        folder=output,
    )
    small = compaction.compact(experiment.network, plan).cpu()
    save = _save_folder(experiment)
    said = writing("The compact experiment", output, ExperimentError)
    with said, whole_folder(output) as temporary:
        (temporary / RECIPE).write_text(recipe, encoding="utf-8")
        plan.save(temporary / PLAN)
        _copy_files(experiment, temporary, temporary / save)
        _save_checkpoint(experiment, small, temporary / save)
    return output


def narrow_by_plan(model: nn.Module, plan: PathLike) -> nn.Module:
    """Give a dense model the widths that a plan leaves, in place.

    For the yaml of a compact experiment, through ``!apply:``.

    Arguments
    ---------
    model : nn.Module
        The dense architecture, without gates.
    plan : path-like
        The plan's file.

    Returns
    -------
    nn.Module
        The model itself.

    Example
    -------
    >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    >>> path = getfixture("tmp_path") / "plan.json"
    >>> PruningPlan({"0": torch.arange(4) < 3}).save(path)
    >>> narrow_by_plan(model, path)[0].weight.shape
    torch.Size([3, 3])
    """
    plan = PruningPlan.load(plan)
    plan.check(model)
    return compaction.narrow(model, plan.keep)


def _require_dense(experiment: Experiment) -> None:
    if NARROWED in experiment.hparams:
        raise ExperimentError(
            f"{experiment.folder} is a compact experiment already; give the "
            "one that it was made from, with a plan that keeps less."
        )


def _name_of(experiment: Experiment, thing: Any) -> str:
    for name, value in experiment.hparams.items():
        if value is thing:
            return name
    raise ExperimentError(
        f"The {type(thing).__name__} of {experiment.folder / RECIPE} is no "
        "entry of its own; give it a name there, and refer to it by !ref."
    )


def _save_folder(experiment: Experiment) -> Path:
    """Where the checkpoints are, within the experiment folder."""
    save = experiment.checkpointer.checkpoints_dir
    if experiment.folder not in save.parents:
        raise ExperimentError(
            f"The checkpoints are in {save}, not in a folder within "
            f"{experiment.folder}; move them to one and change the yaml's "
            "save_folder."
        )
    return save.relative_to(experiment.folder)


def _copy_files(experiment: Experiment, folder: Path, save: Path) -> None:
    """Copy manifests, tokenizers and whatever else was saved."""
    save.mkdir(parents=True)
    for path in experiment.folder.iterdir():
        if path.suffix in MANIFESTS and path.is_file() and path.name != PLAN:
            shutil.copy(path, folder)
    for path in experiment.checkpointer.checkpoints_dir.iterdir():
        if "CKPT+" in path.name:
            continue
        if path.is_symlink():  # to a language model, for instance
            (save / path.name).symlink_to(path.resolve())
        elif path.is_dir():
            shutil.copytree(path, save / path.name)
        else:
            shutil.copy(path, save)


def _save_checkpoint(
    experiment: Experiment, small: nn.Module, save: Path
) -> None:
    """Save the compact network and all else as at the end of the training."""
    source = experiment.checkpointer
    recoverables = {
        name: _finished(thing) for name, thing in source.recoverables.items()
    }
    recoverables[experiment.recoverable] = small
    checkpointer = Checkpointer(save, recoverables)
    checkpointer.custom_save_hooks = source.custom_save_hooks
    saved = checkpointer.save_checkpoint(
        meta=_figures(experiment.checkpoints), name="compact"
    )
    for name, path in experiment.checkpoints[0].paramfiles.items():
        if name not in recoverables and not _is_optimizer(path):
            shutil.copy(path, saved.path)


def _finished(thing: Any) -> Any:
    """An epoch counter that has no epoch left; other things as they are."""
    if not isinstance(thing, EpochCounter):
        return thing
    counter = copy.copy(thing)
    counter.current = max(counter.current, counter.limit)
    return counter


def _figures(checkpoints: list[Checkpoint]) -> dict[str, Any]:
    """The meta data of the last checkpoint. What it lacks, older ones give:
    evaluation looks for checkpoints that have, for instance, a WER."""
    figures: dict[str, Any] = {}
    for checkpoint in reversed(checkpoints):
        figures |= checkpoint.meta
    return {
        key: value
        for key, value in figures.items()
        if key not in ("unixtime", "end-of-epoch")
    }


def _is_optimizer(path: Path) -> bool:
    """Whether a file is an optimiser's state, with the dense shapes."""
    try:
        state = torch.load(path, map_location="cpu")
    except Exception:  # text, or anything else that torch did not write
        return False
    return isinstance(state, dict) and "param_groups" in state
