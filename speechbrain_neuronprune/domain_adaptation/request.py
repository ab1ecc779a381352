"""What an adaptation was asked for: parts of another one are never used.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from speechbrain_neuronprune.adaptation.stages import Stage
from speechbrain_neuronprune.domain_adaptation.model import AdaptingModel
from speechbrain_neuronprune.domain_adaptation.speech import DomainSpeech
from speechbrain_neuronprune.errors import SelectionError
from speechbrain_neuronprune.files import write_json
from speechbrain_neuronprune.processes import process_count
from speechbrain_neuronprune.training.dataio import speech_key

# What the parts in an output folder depend on, besides models and speech
REQUEST = (
    "blank_index",
    "seed",
    "layers",
    "criterion",
    "window",
    "frame_stride",
    "hypo",
    "hyper",
    "neurons",
    "outgoing",
    "fraction",
    "held_back",
    "views",
    "rounds",
    "patience",
    "start_counts",
    "warmup",
    "max_batch_length",
    "num_buckets",
    "weight_decay",
)


def describe_request(
    start: str,
    model: AdaptingModel,
    stages: Iterable[Stage],
    speech: DomainSpeech,
) -> dict[str, Any]:
    """All that the result depends on.

    Arguments
    ---------
    start : str
        The starting model's fingerprint.
    model : AdaptingModel
        The model, for its settings.
    stages : iterable of Stage
        The trainings.
    speech : DomainSpeech
        What is read; test splits have no influence.

    Returns
    -------
    dict of str to Any
        For JSON.
    """
    hparams = model.hparams
    return {
        "start": start,
        **{name: _plain(hparams[name]) for name in REQUEST},
        "grad_accumulation_factor": model.accumulated,
        "max_grad_norm": model.option("max_grad_norm", 5.0),
        "processes": process_count(),
        "stages": [asdict(stage) for stage in stages],
        "opt_class": _name_of(hparams["opt_class"]),
        "target": speech_key(speech.target),
        "home": speech_key(speech.home),
        "replayed": speech_key(speech.replayed),
    }


def check_request(folder: Path, request: Mapping[str, Any]) -> None:
    """Note a request, or find that the folder holds the same one.

    Arguments
    ---------
    folder : Path
        Where the adaptation leaves its files.
    request : mapping
        What ``describe_request`` returned.

    Raises
    ------
    SelectionError
        If the folder holds another adaptation.
    """
    path = folder / "request.json"
    if not path.exists():
        write_json(path, request)
    found = json.loads(path.read_text(encoding="utf-8"))
    for name, value in request.items():
        if found.get(name) != value:
            raise SelectionError(
                f"The output folder {folder} holds an adaptation with "
                f"{name}={found.get(name)}, not {value}; choose another "
                "output_folder, or remove that one."
            )


def _plain(value: Any) -> Any:
    """A value as JSON gives it back."""
    return list(value) if isinstance(value, (list, tuple)) else value


def _name_of(maker: Any) -> str:
    """A class or function, and what it is given beforehand."""
    keywords = getattr(maker, "keywords", {})
    maker = getattr(maker, "func", maker)
    options = "".join(f", {name}={keywords[name]}" for name in sorted(keywords))
    return f"{maker.__module__}.{maker.__qualname__}{options}"
