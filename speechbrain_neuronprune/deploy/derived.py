"""Model directories that are made of others.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from speechbrain.inference.interfaces import Pretrained

from speechbrain_neuronprune.deploy.int8 import require_float
from speechbrain_neuronprune.deploy.loading import load_model
from speechbrain_neuronprune.deploy.target import is_replaceable
from speechbrain_neuronprune.errors import ExportError
from speechbrain_neuronprune.file_names import RECIPE
from speechbrain_neuronprune.files import PathLike, writing
from speechbrain_neuronprune.folders import whole_folder


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
    _check_output(model_dir, output)
    model = load_model(model_dir, interface=Pretrained)
    _check_model(model_dir, model)
    said = writing("The export", output, ExportError)
    with said, whole_folder(output, replace=True) as folder:
        shutil.copytree(model_dir, folder, dirs_exist_ok=True)
        yield folder, model


def _check_output(model_dir: Path, output: Path) -> None:
    """Overwrite neither the weights nor anything else."""
    if output.resolve().is_relative_to(model_dir.resolve()):
        raise ExportError(
            f"The output {output} is the model directory itself, whose "
            "weights would be lost, or inside of it; give another folder."
        )
    if not is_replaceable(output):
        raise ExportError(
            f"The output {output} exists and is no model directory; give a "
            "new folder."
        )


def _check_model(model_dir: Path, model: Pretrained) -> None:
    if not hasattr(model.hparams, "model"):
        raise ExportError(
            f"The {RECIPE} of {model_dir} has no entry named model "
            "with all weights; give a directory that this package wrote."
        )
    require_float(model.hparams.model, model_dir)
