"""Hyperparameters of Brains that prune.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import re
from types import SimpleNamespace

import pytest

from speechbrain_neuronprune.brains.adaptive_dropout import DEFAULTS
from speechbrain_neuronprune.brains.settings import RULES, check_settings
from speechbrain_neuronprune.errors import TrainingError
from tests.toy_brain import fit


def settings(**given):
    return SimpleNamespace(**DEFAULTS | {"logits_opt_class": dict} | given)


@pytest.mark.parametrize(
    "name, value",
    [
        ("settle_step", "5"),
        ("settle_step", 5.5),
        ("settle_step", -1),
        ("settle_step", True),
        ("shrink_every", "1"),
        ("target_parameters", "0.5"),
        ("threshold", "a"),
        ("threshold", float("nan")),
        ("round_to", 2.5),
        ("round_to", 0),
        ("round_to", None),
        ("inform_spread", None),
        ("inform_spread", -1),  # would keep the worst
        ("shrink_below", "0.01"),
        ("steer_size", "False"),
        ("balance_heads", "no"),
        ("shrink", "yes"),
        ("logits_opt_class", 3),
    ],
)
def test_what_is_none_is_refused_by_name(name, value):
    message = re.escape(f"The hyperparameter {name} is {value!r}; give ")
    with pytest.raises(TrainingError, match=message):
        check_settings(settings(**{name: value}))


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"settle_step": 0},
        {"settle_step": 120.0},  # what yaml may compute
        {"target_parameters": 20_000, "threshold": -2},
        {"shrink": None, "steer_size": 1, "shrink_every": 2},
    ],
    ids=str,
)
def test_what_training_can_use_passes(given):
    check_settings(settings(**given))


def test_every_default_is_looked_at():
    assert RULES.keys() == {*DEFAULTS, "logits_opt_class"}


def test_a_training_does_not_begin_with_them(make_brain):
    brain = make_brain(settle_step="5")
    with pytest.raises(TrainingError, match="settle_step is '5'"):
        fit(brain)
    assert brain.optimizers_dict is None


def test_logits_need_an_optimizer(make_brain):
    brain = make_brain()
    del brain.hparams.logits_opt_class
    with pytest.raises(TrainingError, match="logits_opt_class is None"):
        fit(brain)


def test_a_dense_model_has_no_need_of_them(make_brain):
    brain = make_brain(gated=False, epochs=1, settle_step="5")
    del brain.hparams.logits_opt_class
    fit(brain)
