"""A trained experiment folder."""

import shutil

import pytest
import torch

from speechbrain_neuronprune import PruningPlan, find_units
from speechbrain_neuronprune.deploy.experiment import open_experiment
from tests.tiny_stock import train, write_yaml


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A pruning run of three epochs, with all its checkpoints."""
    folder = tmp_path_factory.mktemp("experiment")
    overrides = {"output_folder": str(folder / "run"), "avg_checkpoints": 9}
    train(write_yaml(folder), overrides)
    return folder / "run"


@pytest.fixture
def run(trained, tmp_path):
    """A copy of it, elsewhere."""
    return shutil.copytree(trained, tmp_path / "moved")


@pytest.fixture(scope="session")
def half(trained):
    """A plan that keeps every second unit."""
    units = find_units(open_experiment(trained).network)
    return PruningPlan(
        {n: torch.arange(group.size) % 2 < 1 for n, group in units.items()}
    )
