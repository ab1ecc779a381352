"""The hyperparameters of a Brain that prunes, looked at before it trains.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math
from numbers import Integral, Real
from types import SimpleNamespace
from typing import Any

from speechbrain_neuronprune.errors import TrainingError

# What each may be
RULES = {
    "logits_opt_class": "optimizer",
    "target_parameters": "number or null",
    "threshold": "number or null",
    "round_to": "count",
    "balance_heads": "switch",
    "steer_size": "switch",
    "inform_spread": "size",
    "settle_step": "steps or null",
    "shrink": "switch",
    "shrink_every": "steps or null",
    "shrink_below": "number",
}

# What to give in place of what is none
WORDS = {
    "optimizer": "the optimiser of the logits, such as !name:torch.optim.Adam",
    "number": "a number",
    "size": "a number above 0",
    "count": "a whole number from 1",
    "steps": "a whole number from 0",
    "switch": "True or False",
}


def check_settings(hparams: SimpleNamespace) -> None:
    """Refuse hyperparameters that would stop a training late, or mean
    something else than they seem to.

    Arguments
    ---------
    hparams : SimpleNamespace
        Those of a Brain with ``AdaptiveDropoutMixin``.

    Raises
    ------
    TrainingError
        If one is not of its kind.

    Example
    -------
    >>> from speechbrain_neuronprune.brains.adaptive_dropout import DEFAULTS
    >>> given = {"logits_opt_class": dict, "settle_step": "5"}
    >>> check_settings(SimpleNamespace(**DEFAULTS | given))
    Traceback (most recent call last):
    ...
    speechbrain_neuronprune.errors.TrainingError: The hyperparameter
    settle_step is '5'; give a whole number from 0, or null.
    """
    for name, rule in RULES.items():
        kind, _, or_null = rule.partition(" or ")
        value = getattr(hparams, name, None)
        if value is None and or_null or _is(kind, value):
            continue
        wanted = f"{WORDS[kind]}, or null" if or_null else WORDS[kind]
        raise TrainingError(
            f"The hyperparameter {name} is {value!r}; give {wanted}."
        )


def _is(kind: str, value: Any) -> bool:
    if kind == "optimizer":
        return callable(value)
    if kind == "switch":
        return value is None or isinstance(value, Real) and value in (0, 1)
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    if kind == "count":
        return isinstance(value, Integral) and value >= 1
    if kind == "steps":  # a yaml that computes them may give 120.0
        return value >= 0 and value % 1 == 0
    return math.isfinite(value) and (kind != "size" or value > 0)
