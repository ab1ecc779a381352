"""A model directory that hears chunk by chunk.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import re
from pathlib import Path

from speechbrain_neuronprune.deploy.checksums import read_card, write_card
from speechbrain_neuronprune.deploy.derived import derived_directory
from speechbrain_neuronprune.deploy.directory import inference_yaml
from speechbrain_neuronprune.deploy.interfaces import (
    ENCODER_ASR,
    STREAMING_ASR,
)
from speechbrain_neuronprune.errors import ExportError
from speechbrain_neuronprune.file_names import RECIPE
from speechbrain_neuronprune.files import PathLike


def streaming_directory(model_dir: PathLike, output: PathLike) -> Path:
    """Write a CTC Conformer's model directory for ``StreamingASR``.

    The weights stay. How well they recognise chunks depends on whether the
    model was trained with chunks (SpeechBrain's dynamic chunk training).

    Arguments
    ---------
    model_dir : path-like
        A model directory for ``EncoderASR``, in float.
    output : path-like
        The new directory; a model directory that exists is replaced.

    Returns
    -------
    Path
        The new directory.

    Raises
    ------
    DataError
        If the model directory cannot be loaded.
    ExportError
        If its network is no Conformer with an output layer, it is in int8,
        or the new directory cannot be written.
    """
    with derived_directory(model_dir, output) as (folder, model):
        recipe = folder / RECIPE
        names = _network(model_dir, recipe.read_text(encoding="utf-8"))
        network = {name: getattr(model.hparams, name) for name in names}
        yaml = inference_yaml(recipe, network, names[0], {}, STREAMING_ASR)
        recipe.write_text(yaml, encoding="utf-8")
        card = read_card(folder)
        for old, new in (
            (ENCODER_ASR.what, STREAMING_ASR.what),
            (ENCODER_ASR.use, STREAMING_ASR.use),
        ):
            card = card.replace(old, new)
        write_card(folder, card)
    return Path(output)


def _network(model_dir: PathLike, yaml: str) -> list[str]:
    """The names of the network's modules: what the weights belong to."""
    model = re.search(r"^model:.*\n(?:[ -].*\n)+", yaml, re.MULTILINE)
    names = re.findall(r"!ref <(\w+)>", model[0]) if model else []
    if not names:
        raise ExportError(
            f"The entry model in the {RECIPE} of {model_dir} names no "
            "modules; give a directory that this package wrote."
        )
    return names
