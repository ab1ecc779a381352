"""SpeechBrain's own unit tests, on layers that have been compacted.

They are read from a checkout of its repository, which the environment
variable SPEECHBRAIN_REPOSITORY names; without one they are skipped.
"""

import copy
import importlib.util
import os
from pathlib import Path

import pytest
import torch
from speechbrain.lobes.models.transformer import Conformer
from speechbrain.nnet import attention

from speechbrain_neuronprune import compact
from speechbrain_neuronprune.layers.attention import AttentionForm
from speechbrain_neuronprune.units import count_parameters, groups_of
from tests.plans import PLANS, make_plan, randomize

REPOSITORY = os.environ.get("SPEECHBRAIN_REPOSITORY")

pytestmark = pytest.mark.skipif(
    REPOSITORY is None,
    reason="SPEECHBRAIN_REPOSITORY names no checkout of SpeechBrain",
)


def stock_test(file, name):
    """A test function of SpeechBrain's suite."""
    path = Path(REPOSITORY) / "tests" / "unittests" / file
    spec = importlib.util.spec_from_file_location(f"stock_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def in_place_of(monkeypatch, module, name, change):
    """Let a class's name make changed objects; returns the pairs of a stock
    object and the changed one that it has made."""
    kind, made = getattr(module, name), []

    def make(*args, **kwargs):
        stock = kind(*args, **kwargs)
        made.append((stock, change(stock)))
        return made[-1][1]

    monkeypatch.setattr(module, name, make)
    return made


@pytest.mark.parametrize("style", PLANS)
def test_streaming_equals_chunked_masks(monkeypatch, style):
    """The tolerance of 1e-6 on the mean is SpeechBrain's own."""

    def change(layer):
        randomize(layer)
        return compact(layer, make_plan(layer, style))

    name = "ConformerEncoderLayer"
    made = in_place_of(monkeypatch, Conformer, name, change)
    stock_test("test_conformer.py", "test_streaming_conformer_layer")("cpu")
    [(stock, small)] = made
    is_smaller = count_parameters(small) < count_parameters(stock)
    assert is_smaller == (style != "everything")


def test_relative_positions_with_other_lengths(monkeypatch):
    """Queries and keys of different lengths: cross-attention."""

    def change(layer):
        groups = groups_of("", layer, cross=True)
        keep = {g.site: torch.rand(g.size) < 0.6 for g in groups}
        return AttentionForm.narrow(copy.deepcopy(layer), groups, keep)

    made = in_place_of(monkeypatch, attention, "RelPosMHAXL", change)
    stock_test("test_attention.py", "test_rel_pos_MHA")("cpu")
    assert len(made) == 16
