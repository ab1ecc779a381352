"""What all tests share: one thread, one seed, no network, small models.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import importlib.util
import os
import sys
from functools import partial
from pathlib import Path

# Before anything imports the hub's client, which reads it once.
os.environ["HF_HUB_OFFLINE"] = "1"

import hypothesis
import pytest
import torch
from speechbrain.lobes.models.transformer.Conformer import ConformerEncoder
from speechbrain.lobes.models.transformer.TransformerASR import (
    TransformerASR,
)
from speechbrain.utils.importutils import LazyModule

from speechbrain_neuronprune import (
    RetentionSchedule,
    attach_adaptive_dropout,
)
from speechbrain_neuronprune.deploy import evaluation, finalise, sweep

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

# hypothesis asks every loaded module for its file; SpeechBrain's lazy modules
# would try to import optional packages to answer.
for module in list(sys.modules.values()):
    if isinstance(module, LazyModule):
        module.__dict__.setdefault("__file__", None)

# Small models are faster on one thread, and workers share the cores.
torch.set_num_threads(1)

# The same examples every time, and no verdict on how long one takes.
hypothesis.settings.register_profile(
    "suite", deadline=None, derandomize=True, print_blob=True
)
hypothesis.settings.load_profile("suite")


def pytest_collection_modifyitems(items):
    """The longest first, or one worker would wait for another at the end."""
    items.sort(key=lambda item: item.path.name != "test_shell_blocks.py")


@pytest.fixture(autouse=True)
def seed():
    """Start every test from the same random state."""
    torch.manual_seed(1234)


@pytest.fixture(scope="session")
def make_encoder():
    """Build a small ``ConformerEncoder`` in evaluation mode; any of its
    arguments may be given by keyword."""

    def build(**changes) -> ConformerEncoder:
        sizes = {
            "num_layers": 2,
            "d_model": 16,
            "d_ffn": 24,
            "nhead": 2,
            "kernel_size": 5,
        }
        return ConformerEncoder(**{**sizes, **changes}).eval()

    return build


@pytest.fixture
def partly_gated(make_encoder):
    """A function from a kind of gate to an encoder with gates wherever it
    can have some: its attention has units that cannot be removed."""

    def build(gate):
        encoder = make_encoder(attention_type="hypermixing")
        schedule = RetentionSchedule(hold=3)
        return attach_adaptive_dropout(
            encoder, schedule, targets=["ffn", "conv"], gate=gate
        )

    return build


@pytest.fixture(scope="session")
def make_asr():
    """Build a small encoder-only ``TransformerASR`` around a Conformer, in
    evaluation mode; any of its arguments may be given by keyword."""

    def build(**changes) -> TransformerASR:
        sizes = {
            "tgt_vocab": 8,
            "input_size": 20,
            "d_model": 16,
            "nhead": 2,
            "num_encoder_layers": 2,
            "num_decoder_layers": 0,
            "d_ffn": 24,
            "dropout": 0.0,
            "kernel_size": 5,
            "encoder_module": "conformer",
            "attention_type": "RelPosMHAXL",
            "normalize_before": True,
            "causal": False,
        }
        return TransformerASR(**{**sizes, **changes}).eval()

    return build


@pytest.fixture
def hasty(monkeypatch):
    """Measure costs by one pass over one second of audio."""
    monkeypatch.setattr(evaluation, "SECONDS", 1.0)
    measure = partial(evaluation.measure_costs, rounds=1)
    for module in (finalise, sweep):
        monkeypatch.setattr(module, "measure_costs", measure)


@pytest.fixture
def load_benchmark(monkeypatch):
    """A function from the name of a benchmark script, which is no module of
    the package, to its module."""

    def load(name):
        spec = importlib.util.spec_from_file_location(
            f"benchmark_{name}", BENCHMARKS / f"{name}.py"
        )
        module = importlib.util.module_from_spec(spec)
        # Dataclasses look their module up.
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module

    threads = torch.get_num_threads()
    monkeypatch.syspath_prepend(BENCHMARKS)  # as for a script that is run
    yield load
    torch.set_num_threads(threads)
