"""Model directories that are made of others.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from speechbrain.inference.interfaces import Pretrained

from speechbrain_neuronprune.deploy.directory import whole_directory
from speechbrain_neuronprune.deploy.int8 import is_int8
from speechbrain_neuronprune.deploy.target import writing
from speechbrain_neuronprune.deploy.transcribe import load_model
from speechbrain_neuronprune.errors import ExportError
from speechbrain_neuronprune.files import PathLike

# Together, only a model directory has them
OWN_FILES = ("hyperparams.yaml", "model.ckpt")


@contextlib.contextmanager
def derived_directory(
    model_dir: PathLike, output: PathLike
) -> Iterator[tuple[Path, Pretrained]]:
    """Copy a model directory, to be changed by the caller.

    Arguments
    ---------
    model_dir : path-like
        A model directory in float.
    output : path-like
        The new one; a model directory that exists is replaced.

    Yields
    ------
    tuple of Path and Pretrained
        The copy, which takes its place at the end, and the model, loaded.

    Raises
    ------
    DataError
        If the model directory cannot be loaded.
    ExportError
        If it is in int8, or the new one cannot be written.
    """
    model_dir, output = Path(model_dir), Path(output)
    _check(model_dir, output)
    model = load_model(model_dir, interface=Pretrained)
    if is_int8(model.hparams.model):
        raise ExportError(
            f"The model directory {model_dir} is in int8 already; give the "
            "one that it was made from."
        )
    with writing(output), whole_directory(output) as folder:
        shutil.copytree(model_dir, folder, dirs_exist_ok=True)
        yield folder, model


def _check(model_dir: Path, output: Path) -> None:
    """Overwrite neither the weights nor a folder of something else."""
    if output.resolve() == model_dir.resolve():
        raise ExportError(
            f"The output {output} is the model directory itself, whose "
            "weights would be lost; give another folder."
        )
    there = output.is_dir() and any(output.iterdir())
    # A training run has a hyperparams.yaml as well.
    if there and not all((output / name).is_file() for name in OWN_FILES):
        raise ExportError(
            f"The output {output} exists and is no model directory; give a "
            "new folder."
        )
