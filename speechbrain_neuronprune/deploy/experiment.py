"""SpeechBrain experiment folders: open one, and write its compact successor::

    hyperparams.yaml  the recipe, with references resolved
    save/CKPT+...     checkpoints; beside them, tokenizers and the like
    *.csv, *.json     manifests

Any training script leaves such a folder, if it calls SpeechBrain's
``create_experiment_directory`` and has a ``Checkpointer``.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.utils.checkpoints import Checkpoint, Checkpointer
from speechbrain.utils.epoch_loop import EpochCounter
from torch import nn

from speechbrain_neuronprune import compaction
from speechbrain_neuronprune.attach import adaptive_dropouts
from speechbrain_neuronprune.deploy.experiment_yaml import (
    NARROWED,
    PLAN,
    RECIPE,
    compact_recipe,
    read_recipe,
)
from speechbrain_neuronprune.errors import (
    ExperimentError,
    UnitsError,
    in_short,
)
from speechbrain_neuronprune.files import PathLike, writing
from speechbrain_neuronprune.folders import require_vacant, whole_folder
from speechbrain_neuronprune.plan import PruningPlan
from speechbrain_neuronprune.training.checkpoints import load_average, loading
from speechbrain_neuronprune.units import supported_units

MANIFESTS = (".csv", ".json", ".pkl")


@dataclass(frozen=True)
class Experiment:
    """An experiment folder, opened, with its weights loaded.

    Arguments
    ---------
    folder : Path
        The experiment folder.
    hparams : dict
        What its yaml makes.
    checkpointer : Checkpointer
        Its checkpointer.
    recoverable : str
        Which of the checkpointer's recoverables can be pruned.
    checkpoints : list of Checkpoint
        All that have it, the most recent one first.
    recipe : str
        The yaml.
    """

    folder: Path
    hparams: dict[str, Any]
    checkpointer: Checkpointer
    recoverable: str
    checkpoints: list[Checkpoint]
    recipe: str = field(repr=False)

    @property
    def network(self) -> nn.Module:
        """The module with gates, or, if there are none, with units."""
        return self.checkpointer.recoverables[self.recoverable]

    @property
    def gated(self) -> bool:
        """Whether the network has gates, from which a plan can be read."""
        return bool(adaptive_dropouts(self.network))


# ------------------------------------------------------------------ opening


def open_experiment(
    folder: PathLike,
    device: str | torch.device = "cpu",
    average: int = 1,
    overrides: str | Mapping[str, Any] | None = None,
) -> Experiment:
    """Build what an experiment's yaml describes and load its weights.

    Arguments
    ---------
    folder : path-like
        An experiment folder; it may have been moved.
    device : str or torch.device
        Where the network shall be.
    average : int
        How many of the last checkpoints to average; those from before the
        end of the schedule do not count.
    overrides : str or mapping, optional
        Other values for entries of the yaml, such as a folder that is
        elsewhere now.

    Returns
    -------
    Experiment
        Its network in evaluation mode.

    Raises
    ------
    ExperimentError
        If the folder is not an experiment's, or has no checkpoint.
    TrainingError
        If a checkpoint is damaged or belongs to another architecture.
    UnitsError
        If nothing in it can be pruned.
    """
    folder = Path(folder).resolve()
    recipe, hparams = _build(folder, overrides)
    checkpointer = _find_checkpointer(folder, hparams)
    name = _find_network(folder, checkpointer)
    checkpoints = _load(checkpointer, name, average)
    checkpointer.recoverables[name].to(device).eval()
    return Experiment(folder, hparams, checkpointer, name, checkpoints, recipe)


def _build(folder: Path, overrides: Any) -> tuple[str, dict[str, Any]]:
    path = folder / RECIPE
    if not path.is_file():
        raise ExperimentError(
            f"{folder} is not an experiment folder: it has no {RECIPE}; give "
            "the output_folder of a training run."
        )
    try:
        recipe = read_recipe(path, overrides)
        return recipe, load_hyperpyyaml(recipe)
    except Exception as error:  # yaml can call anything
        raise ExperimentError(
            f"{path} cannot be loaded ({in_short(error)}); restore it, or "
            "override the entry that is to blame."
        ) from error


def _find_checkpointer(folder: Path, hparams: dict[str, Any]) -> Checkpointer:
    for value in hparams.values():
        if isinstance(value, Checkpointer):
            return value
    raise ExperimentError(
        f"{folder / RECIPE} makes no Checkpointer; give the output_folder of "
        "a recipe that has one."
    )


def _find_network(folder: Path, checkpointer: Checkpointer) -> str:
    """The recoverable with most gates or, without any, with most units."""
    modules = {
        name: thing
        for name, thing in checkpointer.recoverables.items()
        if isinstance(thing, nn.Module)
    }
    for parts in (adaptive_dropouts, supported_units):
        sizes = {name: len(parts(module)) for name, module in modules.items()}
        name = max(sizes, key=sizes.__getitem__, default=None)
        if name is not None and sizes[name]:
            return name
    raise UnitsError(
        f"None of the modules that {folder} saves ({', '.join(modules)}) "
        "holds units that can be pruned; give an experiment with SpeechBrain "
        "Conformer layers, or with fully connected ones."
    )


def _load(
    checkpointer: Checkpointer, name: str, average: int
) -> list[Checkpoint]:
    folder = checkpointer.checkpoints_dir
    with loading(folder):
        found = checkpointer.find_checkpoints(
            ckpt_predicate=lambda checkpoint: name in checkpoint.paramfiles
        )
    if not found:
        raise ExperimentError(
            f"There is no checkpoint of {name} in {folder}; train the model "
            "first."
        )
    with loading(found[0].path):
        checkpointer.load_checkpoint(found[0])
    if average > 1:
        with loading(folder):
            network = checkpointer.recoverables[name]
            chosen = _in_final_phase(network, name, found)
            load_average(checkpointer, name, chosen[:average])
    return found


def _in_final_phase(
    network: nn.Module, name: str, checkpoints: list[Checkpoint]
) -> list[Checkpoint]:
    """The checkpoints from after the decline of c(t), if that is over.

    Stock recipes keep the best checkpoints. Some may be from before the
    pruning, and must not be averaged with those from after it.
    """
    steps = [_steps_taken(c.paramfiles[name]) for c in checkpoints]
    ends = [gate.schedule.end for gate in adaptive_dropouts(network).values()]
    needed = min([steps[0], *ends])
    return [c for c, n in zip(checkpoints, steps, strict=True) if n >= needed]


def _steps_taken(path: Path) -> int:
    """The schedule's step in a state dict; 0 without a schedule."""
    state = torch.load(path, map_location="cpu", mmap=True)
    keys = (key for key in state if key.endswith("steps_taken"))
    return next((int(state[key]) for key in keys), 0)


# ------------------------------------------------------------------ writing


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
