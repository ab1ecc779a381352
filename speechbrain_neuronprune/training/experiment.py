"""What can go wrong at the beginning of every recipe.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import contextlib
import difflib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import speechbrain as sb
from hyperpyyaml import load_hyperpyyaml, resolve_references
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from speechbrain.utils.distributed import infer_device
from speechbrain.utils.logger import get_logger
from speechbrain.utils.run_opts import RunOptions

from speechbrain_neuronprune.errors import TrainingError, in_short
from speechbrain_neuronprune.files import PathLike

logger = get_logger(__name__)
# hyperpyyaml's: the name, and those that there are; the name alone; neither
OVERRIDE = re.compile(r"Override '(.*?)' not found in: (.*)", re.DOTALL)
UNFILLED = re.compile(r"'(.+)' is a !PLACEHOLDER")
STRUCTURE = "The structure of the overrides doesn't match"


@contextlib.contextmanager
def beginning(path: PathLike) -> Iterator[None]:
    """Explain failures to read the yaml, to change it, or to make the output
    folder.

    Arguments
    ---------
    path : path-like
        The yaml file.

    Raises
    ------
    TrainingError
        Instead of any ``OSError`` of the block, of a yaml that cannot be
        understood, and of hyperpyyaml's errors for an override of what the
        yaml does not have, or a placeholder that nobody has filled.

    Example
    -------
    >>> with beginning("none.yaml"):
    ...     open("none.yaml")
    Traceback (most recent call last):
    ...
    speechbrain_neuronprune.errors.TrainingError: Cannot read none.yaml or ...
    """
    try:
        yield
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(
            f"Cannot read {path} or write the output folder ({error}); "
            "check the yaml's path, or choose an output folder that you may "
            "write to (--output_folder, or --output of neuronprune)."
        ) from error
    except (KeyError, ValueError, YAMLError) as error:
        sentence = _what_is_wrong(path, error)
        if sentence is None:
            raise
        raise TrainingError(sentence) from error


def _what_is_wrong(path: PathLike, error: Exception) -> str | None:
    """What a yaml lacks; None if the error is about something else."""
    text = str(error)
    if isinstance(error, YAMLError):
        return (
            f"The yaml {path}, or what was given to change it, cannot be "
            f"understood ({in_short(error)}); correct it."
        )
    if found := UNFILLED.search(text):
        return (
            f"The yaml {path} has no value of {found[1]} yet; pass "
            f"--{found[1]}=VALUE."
        )
    if STRUCTURE in text:
        return (
            f"The yaml {path} cannot be changed so, as it is no mapping, or an "
            "entry that would get entries is none; give a recipe's yaml."
        )
    if found := OVERRIDE.search(text):
        name, there = found[1], re.findall(r"'(\w+)'", found[2])
        like = difflib.get_close_matches(name, there, 1)
        remedy = f"do you mean {like[0]}?" if like else "choose another yaml."
        return f"The yaml {path} has no entry {name} to be changed; {remedy}"
    return None


def load_hparams(
    path: PathLike,
    overrides: Any,
    check: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Load a recipe's yaml and make its output folder.

    Arguments
    ---------
    path : path-like
        The yaml file.
    overrides : str or mapping
        Other values of its entries.
    check : callable, optional
        Raises an error where the folder must not be made.

    Returns
    -------
    dict
        Entry to what it describes.

    Raises
    ------
    TrainingError
        If the yaml cannot be read or changed so, or the folder not be made.
    """
    with beginning(path):
        with open(path, encoding="utf-8") as file:
            hparams = load_hyperpyyaml(file, overrides)
        if check is not None:
            check(hparams)
        sb.create_experiment_directory(
            experiment_directory=hparams["output_folder"],
            hyperparams_to_save=path,
            overrides=overrides,
        )
    return hparams


def given(run_opts: RunOptions | Mapping[str, Any] | None) -> dict[str, Any]:
    """The options that somebody gave, which go before those of the yaml.

    Arguments
    ---------
    run_opts : RunOptions or mapping or None
        As for a Brain. ``RunOptions`` hold the host's default values, too.

    Returns
    -------
    dict
        Option to value, without defaults.

    Example
    -------
    >>> given(RunOptions.from_dictionary({"max_grad_norm": 2.0}))
    {'max_grad_norm': 2.0}
    """
    if isinstance(run_opts, RunOptions):
        return {name: run_opts[name] for name in run_opts.overridden_args}
    return dict(run_opts or {})


def device_of(
    hparams: Mapping[str, Any], run_opts: RunOptions | Mapping[str, Any] | None
) -> str:
    """The device that a Brain will take.

    Arguments
    ---------
    hparams : mapping
        The yaml, loaded.
    run_opts : RunOptions or mapping or None
        What the command line says; it goes before the yaml.

    Returns
    -------
    str
        For instance ``cpu``.

    Example
    -------
    >>> device_of({"device": "cuda:0"}, {"device": "cpu"})
    'cpu'
    """
    return {**hparams, **given(run_opts)}.get("device") or infer_device()


def debugging_apart(
    path: PathLike, overrides: str, run_opts: RunOptions
) -> str | dict[str, Any]:
    """Keep what ``--debug`` writes apart from the results of real runs.

    Arguments
    ---------
    path : path-like
        The yaml file.
    overrides : str
        Those of the command line.
    run_opts : RunOptions
        What the command line says.

    Returns
    -------
    str or dict
        The overrides; while debugging, but not persistently, with the folder
        ``debug`` of the output folder in its place.
    """
    if not run_opts.debug or run_opts.debug_persistently:
        return overrides
    with beginning(path), open(path, encoding="utf-8") as file:
        tree = YAML().load(resolve_references(file, overrides))
    folder = f"{tree['output_folder']}/debug"
    return {**(YAML().load(overrides) or {}), "output_folder": folder}


def check_precision(
    hparams: Mapping[str, Any], run_opts: RunOptions | Mapping[str, Any]
) -> None:
    """Refuse fp16 on a CPU, before anything else is done.

    Arguments
    ---------
    hparams : mapping
        The yaml, loaded.
    run_opts : RunOptions or mapping
        What the command line says; it goes before the yaml.

    Raises
    ------
    TrainingError
        If training or evaluation would be in fp16 there.

    Example
    -------
    >>> check_precision({"precision": "fp16"}, {"device": "cpu"})
    Traceback (most recent call last):
    ...
    speechbrain_neuronprune.errors.TrainingError: The precision fp16 needs ...
    """
    options = {**hparams, **given(run_opts)}
    device = device_of(hparams, run_opts)
    for name in ("precision", "eval_precision"):
        if options.get(name) == "fp16" and device == "cpu":
            raise TrainingError(
                f"The {name} fp16 needs a GPU, but the device is {device}; "
                f"pass --{name}=bf16 or --{name}=fp32, or --device=cuda."
            )


def check_cache(hparams: Mapping[str, Any]) -> None:
    """Warn of a memory of decoded speech that ends with every epoch.

    Arguments
    ---------
    hparams : mapping
        The yaml, loaded.
    """
    loader = hparams["train_dataloader_opts"]
    workers = loader.get("num_workers", 0)
    forgets = workers and not loader.get("persistent_workers")
    if hparams["cache_audio"] and forgets:
        logger.warning(
            "cache_audio is of no use with num_workers: %d, as new workers "
            "read the training speech in every epoch; set it to False, or in "
            "train_dataloader_opts num_workers: 0 or persistent_workers: True",
            workers,
        )


def check_length(brain: sb.Brain, epoch_steps: int) -> None:
    """Refuse a training that would end before its model is pruned.

    An epoch of more processes, or of accumulated gradients, has fewer steps.
    A ``total_steps`` among the hyperparameters that is more than all epochs
    have announces a training that will go on later.

    Arguments
    ---------
    brain : AdaptiveDropoutMixin
        Before ``fit``; one that debugs or does not train is let through.
    epoch_steps : int
        Optimiser steps per epoch.

    Raises
    ------
    TrainingError
        If c(t) would not reach its end, or the units not be settled.
    """
    epochs = brain.hparams.epoch_counter.limit
    steps, needed = epochs * epoch_steps, brain.final_step
    planned = max(steps, getattr(brain.hparams, "total_steps", 0))
    if planned >= needed or brain.debug or brain.test_only:
        return
    schedule = brain.schedule
    raise TrainingError(
        f"The training ends after {steps} optimizer steps ({epochs} epochs of "
        f"{epoch_steps}), before its model is pruned at step {needed} "
        f"(hold_steps {schedule.hold}, decline_steps {schedule.steps}, "
        f"settle_step {getattr(brain.hparams, 'settle_step', None)}); pass "
        f"--number_of_epochs={math.ceil(needed / epoch_steps)} or more, or "
        "lower --hold_steps, --decline_steps and --settle_step."
    )
