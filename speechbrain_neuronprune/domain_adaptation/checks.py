"""What the settings of an adaptation must fulfil before it begins.

Whatever is found out later has cost a ranking, and leaves a folder that
belongs to the settings that were wrong.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from os.path import realpath
from pathlib import Path
from typing import Any

import torch
from speechbrain.inference import EncoderASR
from torch import nn

from speechbrain_neuronprune.adaptation.pseudo_labels import (
    PseudoLabel,
    choose_labels,
    hold_back,
)
from speechbrain_neuronprune.adaptation.stages import Stage, choose_neurons
from speechbrain_neuronprune.domain_adaptation.model import AdaptingModel
from speechbrain_neuronprune.domain_adaptation.speech import DomainSpeech
from speechbrain_neuronprune.errors import (
    DataError,
    ExperimentError,
    SelectionError,
    UnitsError,
)
from speechbrain_neuronprune.saliency.measure import Settings
from speechbrain_neuronprune.saliency.ranking import find_criteria
from speechbrain_neuronprune.saliency.taps import find_taps

# Whole numbers, and the least that each can be; those of ``Settings`` apart
WHOLE = {"seed": 0, "blank_index": 0, "views": 0, "rounds": 1, "num_buckets": 1}
# Any other numbers, and the least
LEAST = {
    "hypo": 0,
    "hyper": 0,
    "fraction": 0,
    "held_back": 0,
    "weight_decay": 0,
    "max_batch_length": 0,
}


def check_settings(
    model: AdaptingModel, stages: Iterable[Stage], speech: DomainSpeech
) -> None:
    """Refuse settings that cannot work, or cannot do what they promise.

    Arguments
    ---------
    model : AdaptingModel
        The model, with ``hparams/adapt_hyper_hypo.yaml``.
    stages : iterable of Stage
        The trainings.
    speech : DomainSpeech
        What is read.

    Raises
    ------
    NeuronPruneError
        If the output would be mixed with the starting model, a number or a
        name is none that can be used, there are no such layers or too few
        neurons or utterances, the start is to count but cannot, the learning
        rate would only rise, there is nothing to replay, or a test split has
        an influence.
    """
    hparams, encoder = model.hparams, model.recogniser.mods.encoder
    check_output(hparams)
    check_numbers(hparams)
    check_layers(encoder, hparams["layers"])
    check_ranking(encoder, hparams)
    check_labels(speech, hparams)
    check_stopping(hparams["patience"], hparams["start_counts"])
    check_warmup(hparams["warmup"])
    check_replay(hparams["model"], stages, speech)
    check_tests(speech)
    check_blank(model.recogniser, hparams["blank_index"])


def check_output(hparams: Mapping[str, Any]) -> None:
    """The adapted model does not get into the starting model's folder.

    Arguments
    ---------
    hparams : mapping
        ``output_folder`` and ``starting_model``.

    Example
    -------
    >>> check_output({"output_folder": "run/new", "starting_model": "run"})
    Traceback (most recent call last):
    ...
    speechbrain_neuronprune.errors.ExperimentError: The output folder run/new...
    """
    output = Path(hparams["output_folder"])
    source = Path(hparams["starting_model"]).resolve()
    adapted = (output / "model").resolve()
    if output.resolve().is_relative_to(source) or source.is_relative_to(
        adapted
    ):
        raise ExperimentError(
            f"The output folder {output} would mix the adapted model with the "
            f"starting model {source}; choose an output folder elsewhere."
        )


def check_numbers(hparams: Mapping[str, Any]) -> None:
    """Numbers are numbers, and neither too small nor endless.

    Arguments
    ---------
    hparams : mapping
        The yaml's.
    """
    for name, least in {**WHOLE, **LEAST}.items():
        value = hparams[name]
        kind, what = Real, "number"
        if name in WHOLE:
            kind, what = Integral, "whole number"
        if not (isinstance(value, kind) and least <= value < float("inf")):
            raise SelectionError(
                f"The yaml's {name}={value!r} cannot be used; give a {what}, "
                f"{least} or more."
            )
    if hparams["max_batch_length"] == 0:
        raise SelectionError(
            "No utterance fits into batches of max_batch_length=0; give a "
            "number of seconds above 0."
        )


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


def check_ranking(encoder: nn.Module, hparams: Mapping[str, Any]) -> None:
    """Neurons can be ranked and chosen so.

    Arguments
    ---------
    encoder : nn.Module
        The model's, which has the layers.
    hparams : mapping
        Those of the neurons.
    """
    find_criteria([hparams["criterion"]])
    Settings(hparams["window"], hparams["frame_stride"])
    # Whether shares fit depends on the layers' sizes only.
    ranks = {
        tap.name: torch.arange(float(tap.units))
        for tap in find_taps(encoder, hparams["layers"])
    }
    names = ("hypo", "hyper", "seed")
    choose_neurons(hparams["neurons"], ranks, *[hparams[n] for n in names])


def check_labels(speech: DomainSpeech, hparams: Mapping[str, Any]) -> None:
    """If something is heard in every utterance, enough of them are kept.

    Arguments
    ---------
    speech : DomainSpeech
        What is read.
    hparams : mapping
        ``fraction``, ``held_back`` and ``seed``.
    """
    labels = {name: PseudoLabel([1], 0.0) for name in speech.target}
    chosen = choose_labels(labels, hparams["fraction"])
    hold_back(chosen, hparams["held_back"], hparams["seed"])


def check_stopping(patience: int | None, start_counts: bool) -> None:
    """There is an epoch before the end, and the start can count if it is to.

    Arguments
    ---------
    patience : int, optional
        Of an ``EarlyStopping``.
    start_counts : bool
        Whether the start may be the best state.
    """
    if not (
        patience is None or (isinstance(patience, Integral) and patience >= 1)
    ):
        raise SelectionError(
            f"With patience={patience!r}, training would end before it begins "
            "or never; give a whole number of epochs, 1 or more, or null to "
            "run all of them."
        )
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
    if not (isinstance(warmup, Real) and 0.0 <= warmup < 1.0):
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


def check_tests(speech: DomainSpeech) -> None:
    """No utterance that is tested on has any influence.

    Arguments
    ---------
    speech : DomainSpeech
        What is read.
    """
    uses = {"adapted to": speech.target, "replayed": speech.labelled()}
    for use, rows in uses.items():
        used = {realpath(row["wav"]) for row in rows.values()}
        for split, tested in speech.tests.items():
            for row in tested.values():
                if realpath(row["wav"]) in used:
                    raise DataError(
                        f"The recording {row['wav']} of the test split {split} "
                        f"is also among the speech to be {use}; adapt on one "
                        "split and test on another."
                    )


def check_blank(recogniser: EncoderASR, blank: int) -> None:
    """The CTC blank is one of the model's outputs.

    Arguments
    ---------
    recogniser : EncoderASR
        The model.
    blank : int
        Which of them.
    """
    with torch.no_grad():
        wavs, lengths = torch.zeros(1, 16_000), torch.ones(1)
        classes = recogniser.encode_batch(wavs, lengths).shape[-1]
    if blank >= classes:
        raise SelectionError(
            f"The yaml's blank_index={blank} is none of the {classes} outputs "
            f"of the model; give that of the CTC blank, below {classes}."
        )
