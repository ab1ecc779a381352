"""The stages of an adaptation, and which neurons learn in them.

Mitra and Franco's models are lists of stages (sec. 6): A updates everything on
pseudo-labels, B the hyper and hypo neurons only, C is B followed by everything
with replayed source speech, and D does that from the start.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor, nn

from speechbrain_neuronprune.adaptation.full import FullUpdate
from speechbrain_neuronprune.adaptation.handle import Adaptation
from speechbrain_neuronprune.adaptation.scaling import hidden_unit_scaling
from speechbrain_neuronprune.adaptation.selective import selective_update
from speechbrain_neuronprune.errors import SelectionError
from speechbrain_neuronprune.hyper_hypo import (
    medium_like,
    only,
    random_like,
    select_hyper_hypo,
)

UPDATES = ("neurons", "all", "scaling")
LOSSES = ("ctc", "entropy")
CHOICES = ("hyper_hypo", "hypo", "hyper", "random", "medium", "layers")
NUMBERS = {
    "lr": (Real, "a number"),
    "epochs": (Integral, "a whole number"),
    "replay": (Real, "a number"),
}


@dataclass(frozen=True)
class Stage:
    """One training in an adaptation.

    Arguments
    ---------
    update : str
        What learns: the chosen ``neurons``, ``all`` parameters, or a
        ``scaling`` of the hidden units of the chosen layers (LHUC).
    lr : float
        Learning rate.
    epochs : int
        At most so many, over the chosen speech.
    replay : float
        How much labelled source speech is mixed in, as a share of it.
    loss : str
        ``ctc`` on pseudo-labels, or ``entropy``, in the manner of SUTA.
    """

    update: str
    lr: float
    epochs: int
    replay: float = 0.0
    loss: str = "ctc"

    def __post_init__(self) -> None:
        for name, known in (("update", UPDATES), ("loss", LOSSES)):
            value = getattr(self, name)
            if value not in known:
                raise SelectionError(
                    f"A stage has no {name} {value!r}; use one of "
                    f"{', '.join(known)}."
                )
        for name, (kind, what) in NUMBERS.items():
            value = getattr(self, name)
            if not isinstance(value, kind):
                raise SelectionError(
                    f"A stage cannot have {name}={value!r}; give {what}."
                )
        if not (self.lr > 0 and self.epochs > 0 and 0 <= self.replay <= 1):
            raise SelectionError(
                f"A stage cannot have lr={self.lr}, epochs={self.epochs} and "
                f"replay={self.replay}; give positive numbers, and a share "
                "from 0 to 1 for replay."
            )

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> "Stage":
        """Make a stage of an entry of a yaml file.

        Arguments
        ---------
        content : mapping
            The arguments by name.

        Returns
        -------
        Stage
            The stage.

        Raises
        ------
        SelectionError
            If there is an entry that a stage does not have, one is missing, or
            a value is one that it cannot have.

        Example
        -------
        >>> Stage.read({"update": "all", "lr": 0.001, "epochs": 5}).replay
        0.0
        """
        known = [field.name for field in fields(cls)]
        for name in content:
            if name not in known:
                raise SelectionError(
                    f"A stage has no entry {name!r}; use {', '.join(known)}."
                )
        for field in fields(cls):
            if field.default is MISSING and field.name not in content:
                raise SelectionError(
                    f"The stage {dict(content)} has no {field.name}; add it."
                )
        return cls(**content)

    def begin(
        self, model: nn.Module, neurons: Mapping[str, Any], outgoing: bool
    ) -> Adaptation | FullUpdate:
        """Let what this stage updates learn.

        Arguments
        ---------
        model : nn.Module
            Changed in place until the update is finished or undone.
        neurons : mapping
            What ``choose_neurons`` returned; its groups are the layers that
            are scaled.
        outgoing : bool
            Whether the neurons' outgoing weights learn as well.

        Returns
        -------
        Adaptation or FullUpdate
            The handle.
        """
        if self.update == "all":
            return FullUpdate(model)
        if self.update == "scaling":
            return hidden_unit_scaling(model, list(neurons))
        return selective_update(model, neurons, outgoing)


def choose_neurons(
    choice: str,
    scores: Mapping[str, Tensor],
    hypo: float = 0.08,
    hyper: float = 0.04,
    seed: int = 0,
) -> dict[str, Any]:
    """Choose the neurons that learn, or a control of the same size.

    Arguments
    ---------
    choice : str
        ``hyper_hypo`` (Mitra and Franco), ``hypo`` or ``hyper`` alone,
        ``random`` or ``medium`` ones of the same number, or all neurons of the
        ``layers``.
    scores : mapping of str to torch.Tensor
        What ``rank_neurons`` returned for the layers in question.
    hypo : float
        Share of a layer's neurons.
    hyper : float
        Share of a layer's neurons.
    seed : int
        Of the random choice.

    Returns
    -------
    dict
        Group name to a selection.

    Raises
    ------
    SelectionError
        If there is no such choice, or the shares are impossible.

    Example
    -------
    >>> scores = {"fc.linear1": torch.arange(100.0)}
    >>> choose_neurons("random", scores)["fc.linear1"].chosen.sum()
    tensor(12)
    """
    if choice == "layers":
        return {
            name: torch.ones(len(values), dtype=torch.bool)
            for name, values in scores.items()
        }
    selection = select_hyper_hypo(scores, hypo, hyper)
    controls = {
        "hyper_hypo": lambda: selection,
        "hypo": lambda: only(selection, "hypo"),
        "hyper": lambda: only(selection, "hyper"),
        "random": lambda: random_like(selection, seed),
        "medium": lambda: medium_like(selection, scores),
    }
    if choice not in controls:
        raise SelectionError(
            f"There is no choice {choice!r} of neurons; use one of "
            f"{', '.join(CHOICES)}."
        )
    return controls[choice]()
