"""Loading a model directory, whole and from disk alone.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from speechbrain.inference import EncoderASR
from speechbrain.inference.interfaces import Pretrained
from speechbrain.processing.features import InputNormalization

from speechbrain_neuronprune.deploy.checksums import verify_checksums
from speechbrain_neuronprune.errors import DataError, in_short
from speechbrain_neuronprune.file_names import RECIPE
from speechbrain_neuronprune.files import PathLike

Recogniser = TypeVar("Recogniser", bound=Pretrained)


def load_model(
    folder: PathLike,
    device: str = "cpu",
    interface: type[Recogniser] = EncoderASR,
    run_opts: Mapping[str, Any] | None = None,
) -> Recogniser:
    """Load a model directory, from disk alone.

    Arguments
    ---------
    folder : path-like
        What ``write_model_directory`` wrote.
    device : str
        Where to compute.
    interface : type
        The class of SpeechBrain's that the directory was written for.
    run_opts : mapping, optional
        More of SpeechBrain's options than ``device``; they go before those of
        the directory's yaml.

    Returns
    -------
    EncoderASR or whatever ``interface`` is
        SpeechBrain's interface.

    Raises
    ------
    DataError
        If the directory is missing, damaged, or one for another interface, or
        there is no such device.
    """
    _check_kind(folder)
    _check_device(device)
    verify_checksums(folder)
    try:
        model = interface.from_hparams(
            source=str(folder), run_opts={"device": device, **(run_opts or {})}
        )
    except Exception as error:  # from yaml, torch or sentencepiece
        raise DataError(
            f"The model directory {folder} cannot be loaded "
            f"({in_short(error)}); copy it again, or run the recipe again to "
            "write it anew."
        ) from error
    _check_modules(folder, model)
    for module in model.modules():  # in older directories part of a chain
        if isinstance(module, InputNormalization):
            module.to(model.device)
    return model


def _check_kind(folder: PathLike) -> None:
    """Refuse what no interface loads, a training run among them."""
    yaml = Path(folder, RECIPE)
    reason = f"it has no {RECIPE}"
    if yaml.is_file():
        text = yaml.read_text(encoding="utf-8", errors="replace")
        is_run = re.search("^checkpointer:", text, re.MULTILINE)
        reason = "it is a training run" if is_run else ""
    if reason:
        raise DataError(
            f"The folder {folder} is no model directory ({reason}); give the "
            "folder named model in the output of a recipe, or one that "
            "neuronprune compact has written."
        )


def _check_device(device: str) -> None:
    """Else the directory would be blamed."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise DataError(
            f"The device {device} cannot be used ({in_short(error)}); give "
            "cpu, or one that this machine has."
        ) from error


def _check_modules(folder: PathLike, model: Pretrained) -> None:
    """SpeechBrain does so only when it computes."""
    missing = [name for name in model.MODULES_NEEDED if name not in model.mods]
    if missing:
        raise DataError(
            f"The model directory {folder} is for another interface than "
            f"{type(model).__name__} (it has no module {missing[0]}); give "
            f"one that was written for {type(model).__name__}."
        )
