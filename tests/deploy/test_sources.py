"""Directories of other people, opened.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch
from torch import nn

from speechbrain_neuronprune.deploy.sources import open_source
from speechbrain_neuronprune.units import count_parameters, find_units

YAML = """
encoder: !new:torch.nn.Conv1d [1, 4, 3]
masknet: !new:torch.nn.Sequential
    - !new:torch.nn.Linear [4, 8]
    - !new:torch.nn.Tanh
    - !new:torch.nn.Linear [8, 3]
modules:
    encoder: !ref <encoder>
    masknet: !ref <masknet>
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        encoder: !ref <encoder>
        masknet: !ref <masknet>
"""
CODE = """
import torch

class Doubled(torch.nn.Linear):
    pass
"""


@pytest.fixture
def directory(tmp_path):
    """Of a yaml with some lines more."""

    def write(more=""):
        (tmp_path / "hyperparams.yaml").write_text(YAML + more)
        encoder = nn.Conv1d(1, 4, 3)
        masknet = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
        torch.save(encoder.state_dict(), tmp_path / "encoder.ckpt")
        torch.save(masknet.state_dict(), tmp_path / "masknet.ckpt")
        return str(tmp_path)

    return write


@pytest.mark.parametrize(
    "more",
    [
        "",
        "model: xvector\n",
        "model: !new:torch.nn.Linear [2, 2]\n",
        "compile: True\n",
        "compile_module_keys: [masknet]\ncompile: True\n",
    ],
)
def test_units_are_found_wherever_they_are(directory, more):
    """Not in the encoder, and none of what else is called a model counts."""
    source = open_source(directory(more))
    assert list(find_units(source.network)) == ["masknet.0"]
    assert source.parameters == count_parameters(source.network) == 83
    assert source.other_parameters == 0


def test_what_the_yaml_calls_the_model_is_the_whole(directory):
    more = "more: !new:torch.nn.Linear [2, 2]\nmodel: !new:torch.nn.ModuleList"
    more += "\n    - [!ref <encoder>, !ref <masknet>, !ref <more>]\n"
    source = open_source(directory(more))
    assert (source.parameters, source.other_parameters) == (89, 6)


def test_classes_of_the_directory_itself(directory, tmp_path):
    (tmp_path / "own_classes_of_a_directory.py").write_text(CODE)
    kind = "!new:own_classes_of_a_directory.Doubled"
    source = open_source(directory(f"last: {kind} [2, 2]\n"))
    assert type(source.opened.hparams.last).__name__ == "Doubled"
