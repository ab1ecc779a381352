"""What a stage learns from: pseudo-labelled speech, and labelled speech that
is replayed.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from speechbrain.utils.distributed import run_on_main

from speechbrain_neuronprune.adaptation.pseudo_labels import (
    PseudoLabel,
    choose_labels,
    hold_back,
    load_labels,
    save_labels,
)
from speechbrain_neuronprune.domain_adaptation.speech import DomainSpeech
from speechbrain_neuronprune.training.dataio import Rows, with_tokens
from speechbrain_neuronprune.training.draws import draws_for


def pseudo_labelled(
    path: Path,
    label: Callable[[], Mapping[str, PseudoLabel]],
    target: Rows,
    hparams: Mapping[str, Any],
) -> tuple[Rows, Rows]:
    """Label the new domain's speech, and take what is surest.

    Arguments
    ---------
    path : Path
        Where the labels of a round are, or will be written. What their views
        draw depends on the folder's name.
    label : callable
        Makes them, if they are not there.
    target : dict
        The new domain.
    hparams : mapping
        ``fraction``, ``held_back`` and ``seed``.

    Returns
    -------
    tuple of dict
        Rows to learn from, and rows that are held back.
    """
    run_on_main(_write_labels, args=[path, label, hparams["seed"]])
    chosen = choose_labels(load_labels(path), hparams["fraction"])
    learn, held = hold_back(chosen, hparams["held_back"], hparams["seed"])
    return _with_labels(target, learn), _with_labels(target, held)


def _write_labels(
    path: Path, label: Callable[[], Mapping[str, PseudoLabel]], seed: int
) -> None:
    if path.exists():
        return
    # Views draw; a run that goes on must not get other labels.
    with draws_for(seed, path.parent.name):
        save_labels(label(), path)


def _with_labels(target: Rows, labels: Mapping[str, PseudoLabel]) -> Rows:
    return {
        name: target[name] | {"labels": label.tokens}
        for name, label in labels.items()
    }


def replayed(
    speech: DomainSpeech, share: float, tokenizer: Any, blank: int, seed: int
) -> Rows:
    """Labelled speech, drawn anew for no stage.

    Arguments
    ---------
    speech : DomainSpeech
        What there is.
    share : float
        Which part of it.
    tokenizer : SentencePieceProcessor
        The model's.
    blank : int
        The id of the CTC blank.
    seed : int
        Which draw.

    Returns
    -------
    dict
        Labelled rows, by place and name.
    """
    labelled = speech.labelled()
    number = round(share * len(labelled))
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(sorted(labelled))[:number].tolist()
    rows = {name: labelled[name] for name in drawn}
    return with_tokens(rows, tokenizer, blank)
