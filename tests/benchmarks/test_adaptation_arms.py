"""The arms of the comparison of adaptations.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest


@pytest.fixture
def script(load_benchmark):
    return load_benchmark("adaptation_arms")


def test_an_arm_may_carry_changes(script):
    arm = script.known_arm("B:lr=0.003,epochs=5")
    changes = script.changes_of(arm, {"epochs": 2, "patience": 1})
    own = {"model": "B", "lr": 0.003, "epochs": 5, "patience": 1}
    assert changes == script.COMMON | own
    assert script.describe(arm) == "hyper and hypo neurons"


def test_every_arm_has_a_learning_rate(script):
    assert list(script.LEARNING_RATES) == list(script.ARMS)
    for arm in script.ARMS:
        assert set(script.changes_of(arm, {})) & {"lr", "lr_all"}


def test_the_alike_arms(script):
    arms = [arm for arm in script.ARMS if script.is_alike(arm)]
    assert arms == ["alike", "alike-neurons", "alike-random", "alike-alone"]
    changes = {arm: script.changes_of(arm, {}) for arm in arms}
    assert all(one["replay"] == 1.0 for one in changes.values())
    assert [one["model"] for one in changes.values()] == ["D", "E", "E", "D"]
    assert changes["alike-random"]["neurons"] == "random"
    assert changes["alike"] == changes["alike-alone"]
    assert changes["alike"]["lr_all"] == 0.0007
    assert list(script.ARMS)[-4:] == arms  # behind all others
