"""What an adaptation leaves: the adapted model's directory, and a patch.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from speechbrain.inference import EncoderASR
from torch import nn

from speechbrain_neuronprune.adaptation.patch import DomainPatch
from speechbrain_neuronprune.adaptation.selective import selective_update
from speechbrain_neuronprune.deploy.card import adapted_card
from speechbrain_neuronprune.deploy.checksums import write_card
from speechbrain_neuronprune.domain_adaptation.kept import save_tensors
from speechbrain_neuronprune.files import PathLike


def write_model(
    folder: Path,
    recogniser: EncoderASR,
    source: PathLike,
    name: str,
    results: Mapping[str, Any],
) -> None:
    """Write the adapted model's directory.

    Arguments
    ---------
    folder : Path
        The directory.
    recogniser : EncoderASR
        The adapted model.
    source : path-like
        The starting model's directory; what is not adapted is copied.
    name : str
        Of the model, for its card.
    results : mapping
        Error rates before and after, for its card.
    """
    source = Path(source)
    shutil.copytree(source, folder, dirs_exist_ok=True)
    save_tensors(recogniser.hparams.model.state_dict(), folder / "model.ckpt")
    card = adapted_card(name, source.resolve().parent.name, results)
    write_card(folder, card)


def write_patch(
    path: Path,
    encoder: nn.Module,
    start: str,
    neurons: Mapping[str, Any],
    outgoing: bool,
) -> None:
    """Write what differs, where nothing but chosen neurons has learned.

    Arguments
    ---------
    path : Path
        The file.
    encoder : nn.Module
        The adapted one; it stays as it is.
    start : str
        The starting model's fingerprint.
    neurons : mapping
        Which have learned, as ``choose_neurons`` gives them.
    outgoing : bool
        Whether their outgoing weights have learned as well.
    """
    adapted = copy.deepcopy(encoder)
    update = selective_update(adapted, neurons, outgoing)
    DomainPatch(start, update.patch().entries).save(path)
