"""What the settings of an adaptation must fulfil before it begins.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from speechbrain_neuronprune.adaptation.stages import Stage
from speechbrain_neuronprune.domain_adaptation.speech import DomainSpeech
from speechbrain_neuronprune.errors import SelectionError, UnitsError
from speechbrain_neuronprune.saliency.taps import find_taps


def check_settings(
    hparams: Mapping[str, Any],
    encoder: nn.Module,
    stages: Iterable[Stage],
    speech: DomainSpeech,
) -> None:
    """Refuse settings that cannot work, or cannot do what they promise.

    Arguments
    ---------
    hparams : mapping
        See ``hparams/adapt_hyper_hypo.yaml``.
    encoder : nn.Module
        The model's.
    stages : iterable of Stage
        The trainings.
    speech : DomainSpeech
        What is read.

    Raises
    ------
    SelectionError
        If there are no such layers, the start is to count but cannot, the
        learning rate would only rise, or there is nothing to replay.
    """
    check_layers(encoder, hparams["layers"])
    check_stopping(hparams["patience"], hparams["start_counts"])
    check_warmup(hparams["warmup"])
    check_replay(hparams["model"], stages, speech)


def check_layers(encoder: nn.Module, layers: Sequence[str]) -> None:
    """The layers whose neurons are ranked are there.

    Arguments
    ---------
    encoder : nn.Module
        The model's.
    layers : sequence of str
        Patterns of names.
    """
    try:
        find_taps(encoder, layers)
    except UnitsError as error:
        raise SelectionError(
            f"The yaml's layers={layers} do not fit the model. {error}"
        ) from error


def check_stopping(patience: int | None, start_counts: bool) -> None:
    """The start can count if it is to.

    Arguments
    ---------
    patience : int, optional
        Of an ``EarlyStopping``.
    start_counts : bool
        Whether the start may be the best state.
    """
    if patience is None and start_counts:
        raise SelectionError(
            "With patience=null the last state is always taken, so the "
            "start cannot count as start_counts=True demands; set "
            "start_counts to False, or patience to a number of epochs."
        )


def check_warmup(warmup: float) -> None:
    """The learning rate rises for a part of the steps only.

    Arguments
    ---------
    warmup : float
        Which share of them.
    """
    if not 0.0 <= warmup < 1.0:
        raise SelectionError(
            f"The learning rate cannot rise for a share of warmup={warmup} "
            "of the steps; give a share from 0 to below 1."
        )


def check_replay(
    model: str, stages: Iterable[Stage], speech: DomainSpeech
) -> None:
    """Where something is replayed, there is something to replay.

    Arguments
    ---------
    model : str
        The name of these stages in the yaml.
    stages : iterable of Stage
        The trainings.
    speech : DomainSpeech
        What is read.
    """
    replays = any(stage.replay for stage in stages)
    if not replays or speech.home or speech.replayed:
        return
    raise SelectionError(
        f"Model {model} replays home speech, of which there is none; set "
        "home_folder and home_splits, or replay_folder and replay_splits, or "
        "take a model without replay."
    )
