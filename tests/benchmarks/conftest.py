"""Loads a benchmark script, which is no module of the package.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def load_benchmark(monkeypatch):
    """A function from a script's name to its module."""

    def load(name):
        spec = importlib.util.spec_from_file_location(
            f"benchmark_{name}", FOLDER / f"{name}.py"
        )
        module = importlib.util.module_from_spec(spec)
        # Dataclasses look their module up.
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module

    threads = torch.get_num_threads()
    monkeypatch.syspath_prepend(FOLDER)  # as for a script that is run
    yield load
    torch.set_num_threads(threads)
