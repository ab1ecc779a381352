"""A SpeechBrain experiment folder, opened with its weights.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.utils.checkpoints import Checkpoint, Checkpointer
from torch import nn

from speechbrain_neuronprune.attach import adaptive_dropouts
from speechbrain_neuronprune.deploy.experiment_yaml import read_recipe
from speechbrain_neuronprune.errors import (
    ExperimentError,
    UnitsError,
    in_short,
)
from speechbrain_neuronprune.file_names import RECIPE
from speechbrain_neuronprune.files import PathLike
from speechbrain_neuronprune.training.checkpoints import load_average, loading
from speechbrain_neuronprune.units import supported_units


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
