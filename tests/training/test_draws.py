"""Draws that depend on a key only.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import random

import numpy as np
import pytest
import torch

from speechbrain_neuronprune.training import draws
from speechbrain_neuronprune.training.draws import draw_apart, draws_for


def draw():
    return random.random(), np.random.rand(), torch.rand(()).item()


def test_a_key_gives_the_same_draws_whatever_came_before():
    with draws_for(1, "stage", 2):
        first = draw()
    draw()
    with draws_for(1, "stage", 2):
        assert draw() == first
    for key in [(2, "stage", 2), (1, "other", 2), (1, "stage", 3)]:
        with draws_for(*key):
            assert all(a != b for a, b in zip(draw(), first, strict=True))


def test_the_generators_go_on_afterwards_as_if_nothing_had_been():
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(0)
    expected = draw()
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(0)
    with pytest.raises(KeyboardInterrupt), draws_for("anything"):
        draw()
        raise KeyboardInterrupt
    assert draw() == expected


def test_processes_draw_apart_and_the_first_as_alone(monkeypatch):
    drawn = []
    for number in range(3):
        with draws_for("the same"):
            torch.manual_seed(7)
            monkeypatch.setattr(draws, "process_number", lambda n=number: n)
            draw_apart()
            drawn.append(draw())
    with draws_for("the same"):
        torch.manual_seed(7)
        assert drawn[0] == draw()
    for values in zip(*drawn, strict=True):
        assert len(set(values)) == 3


def test_only_devices_in_use_are_seeded(monkeypatch):
    """The others are not given their state back."""
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    with draws_for("anything"):
        draw()
    assert not seeded
