"""Ways to adapt that are compared: what learns, and by which settings.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
from typing import Any, NamedTuple

from hyperpyyaml import load_hyperpyyaml


class Arm(NamedTuple):
    """A way to adapt: what learns, and what that changes in the yaml."""

    learns: str
    changes: dict[str, Any]


def neurons(choice: str) -> dict[str, Any]:
    """Model B with other neurons than the hyper and hypo ones."""
    return {"model": "B", "neurons": choice}


def alike(model: str, choice: str = "hyper_hypo") -> dict[str, Any]:
    """A model that replays all labelled speech there is."""
    return {"model": model, "neurons": choice, "replay": 1.0, "warmup": 0.1}


BOUND = "bound"
ALONE = "alike-alone"
ARMS: dict[str, Arm] = {
    "A": Arm("everything", {"model": "A"}),
    "B": Arm("hyper and hypo neurons", {"model": "B"}),
    "C": Arm("as B, then everything with home speech", {"model": "C"}),
    "D": Arm("everything, with home speech", {"model": "D"}),
    "random": Arm("as many random neurons", neurons("random")),
    "medium": Arm("as many medium neurons", neurons("medium")),
    "layers": Arm("all neurons of those layers", neurons("layers")),
    "hypo": Arm("hypo neurons", neurons("hypo")),
    "hyper": Arm("hyper neurons", neurons("hyper")),
    "scaling": Arm("a factor for each neuron (LHUC)", {"model": "scaling"}),
    "entropy": Arm("everything, by entropy", {"model": "entropy"}),
    BOUND: Arm("everything, from true labels", {"model": "A", "fraction": 1.0}),
    "alike": Arm("everything, with home speech made alike", alike("D")),
    "alike-neurons": Arm("hyper and hypo neurons, with that", alike("E")),
    "alike-random": Arm(
        "as many random neurons, with that", alike("E", "random")
    ),
    ALONE: Arm("everything, from home speech alone", alike("D")),
}
# Every arm has its own: lr is that of neurons and factors, lr_all that of
# everything
LEARNING_RATES: dict[str, dict[str, Any]] = {
    "A": {"lr_all": 0.0003},
    "B": {"lr": 0.001},
    "C": {"lr": 0.001, "lr_all": 0.0003},
    "D": {"lr_all": 0.0003},
    "random": {"lr": 0.001},
    "medium": {"lr": 0.001},
    "layers": {"lr": 0.0003},
    "hypo": {"lr": 0.001},
    "hyper": {"lr": 0.001},
    "scaling": {"lr": 0.01},
    "entropy": {"lr_all": 0.00003, "epochs": 2},
    BOUND: {"lr_all": 0.0003},
    "alike": {"lr_all": 0.0007},
    "alike-neurons": {"lr": 0.001},
    "alike-random": {"lr": 0.001},
    ALONE: {"lr_all": 0.0007},
}
# For all arms: labels that views agree on, all epochs of a declining rate. The
# rates were tuned without a warm-up; only those of the arms alike are so high
# that they need one.
COMMON = {
    "views": 6,
    "fraction": 0.5,
    "epochs": 5,
    "patience": None,
    "warmup": 0.0,
}
NONE = "none"  # the starting model


def name_of(arm: str) -> str:
    """An arm's name, without its changes."""
    return arm.partition(":")[0]


def is_alike(arm: str) -> bool:
    """Whether an arm replays home speech that sounds like the domain."""
    return name_of(arm).startswith("alike")


def changes_of(arm: str, common: dict[str, Any]) -> dict[str, Any]:
    """What an arm changes in the yaml.

    Arguments
    ---------
    arm : str
        A name, and perhaps changes: ``B:lr=0.003,epochs=5``.
    common : dict
        What changes for all arms; the arm's own changes come last.

    Returns
    -------
    dict
        Entry of the yaml to value.
    """
    name, _, own = arm.partition(":")
    changes = [read_change(one) for one in own.split(",") if one]
    arms = ARMS[name].changes | LEARNING_RATES[name]
    return COMMON | arms | common | dict(changes)


def read_change(text: str) -> tuple[str, Any]:
    """Read KEY=VALUE, the value as yaml."""
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, load_hyperpyyaml(f"value: {value}")["value"]


def known_arm(text: str) -> str:
    """Check an arm of the command line."""
    name = name_of(text)
    if name not in ARMS:
        raise argparse.ArgumentTypeError(
            f"there is no arm {name!r}; use {', '.join(ARMS)}, or one of "
            "these with changes, as in B:lr=0.003,epochs=5"
        )
    changes_of(text, {})
    return text


def describe(name: str) -> str:
    """What learns in a row."""
    return "" if name == NONE else ARMS[name_of(name)].learns
