"""A model is left in the modes in which it was.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
from torch import nn

from speechbrain_neuronprune.modes import evaluating, frozen


def mixed():
    """Some of it in training, some not; some frozen, some not."""
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout())
    model[1].eval()
    model[0].weight.requires_grad_(False)
    return model


def state(model):
    return (
        [module.training for module in model.modules()],
        [parameter.requires_grad for parameter in model.parameters()],
    )


@pytest.mark.parametrize("fails", [False, True])
def test_all_is_as_it_was_afterwards(fails):
    model = mixed()
    before = state(model)
    try:
        with evaluating(model), frozen(model):
            modes, learning = state(model)
            assert not any(modes) and not any(learning)
            if fails:
                raise KeyError
    except KeyError:
        pass
    assert state(model) == before
    assert True in before[0] and False in before[0]
    assert True in before[1] and False in before[1]
