"""What a run has finished, kept in files that hold no pickled code.

A run that was stopped reads them instead of doing it again. All processes ask
for the same; the first alone writes.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from speechbrain.utils.distributed import main_process_only, run_on_main
from torch import Tensor

from speechbrain_neuronprune.files import atomic_path, write_json
from speechbrain_neuronprune.hyper_hypo import NeuronSelection

Neurons = Mapping[str, NeuronSelection | Tensor]


def kept_figures(
    path: Path, measure: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Figures that were measured before, or measure them.

    Arguments
    ---------
    path : Path
        The JSON file that keeps them.
    measure : callable
        Returns them.

    Returns
    -------
    dict of str to Any
        As JSON gives them back.
    """
    if not main_process_only(path.exists)():
        run_on_main(write_json, args=[path, measure()])
    return json.loads(path.read_text(encoding="utf-8"))


def kept_neurons(path: Path, choose: Callable[[], Neurons]) -> Neurons:
    """Neurons that were chosen before, or choose them.

    Arguments
    ---------
    path : Path
        The file that keeps them, as plain tensors.
    choose : callable
        Returns them as ``choose_neurons`` does.

    Returns
    -------
    mapping
        The same.
    """
    if not main_process_only(path.exists)():
        plain = {name: _tensors(one) for name, one in choose().items()}
        run_on_main(save_tensors, args=[plain, path])
    # Where they were, for the model is there as well
    kept = torch.load(path, weights_only=True)
    return {name: _selection(one) for name, one in kept.items()}


def save_tensors(content: Mapping[str, Any], path: Path) -> None:
    """Write tensors, so that a kill leaves the old file or the new one; the
    same ones as the same bytes.

    Arguments
    ---------
    content : mapping
        Tensors by name, or mappings of such.
    path : Path
        The file.
    """
    # To a path, its name would be written as well, and a temporary one is
    # another every time.
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        torch.save(content, file)


def _tensors(one: NeuronSelection | Tensor) -> dict[str, Tensor] | Tensor:
    return one if torch.is_tensor(one) else dict(vars(one))


def _selection(kept: dict[str, Tensor] | Tensor) -> NeuronSelection | Tensor:
    return kept if torch.is_tensor(kept) else NeuronSelection(**kept)
