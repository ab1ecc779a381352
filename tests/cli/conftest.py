"""What the tests of the commands share.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch
from click.testing import CliRunner
from hyperpyyaml import load_hyperpyyaml

from speechbrain_neuronprune import adaptive_dropouts
from speechbrain_neuronprune.cli import main
from tests.tiny_recogniser import write_corpus, write_recogniser
from tests.tiny_run import write_run

# An experiment as other people have it
EXPERIMENT = """
output_folder: {folder}
save_folder: !ref <output_folder>/save
schedule: !new:speechbrain_neuronprune.RetentionSchedule
network: !apply:speechbrain_neuronprune.attach_adaptive_dropout
    model: !new:torch.nn.Sequential
        - !new:torch.nn.Linear [4, 8]
        - !new:torch.nn.Tanh
        - !new:torch.nn.Linear [8, 2]
    schedule: !ref <schedule>
output: !new:torch.nn.Linear [2, 2]
modules:
    network: !ref <network>
    output: !ref <output>
counter: !new:speechbrain.utils.epoch_loop.EpochCounter
    limit: 1
checkpointer: !new:speechbrain.utils.checkpoints.Checkpointer
    checkpoints_dir: !ref <save_folder>
    recoverables:
        network: !ref <network>
        output: !ref <output>
        counter: !ref <counter>
"""


@pytest.fixture(scope="session")
def paths(tmp_path_factory):
    """A model directory, a run and a corpus; nobody changes them."""
    folder = tmp_path_factory.mktemp("cli")
    return {
        "model": str(write_recogniser(folder / "recogniser")),
        "run": str(write_run(folder / "run")),
        "data": str(write_corpus(folder / "corpus")),
    }


@pytest.fixture(autouse=True)
def all_hasty(hasty):
    """Every command measures costs in haste."""


@pytest.fixture
def call():
    """Run a command; options and their values may be anything."""

    def run(*words):
        return CliRunner().invoke(main, [str(word) for word in words])

    return run


@pytest.fixture(scope="session")
def sentence():
    """The one sentence on standard error, of a command that failed."""

    def read(result):
        assert result.exit_code == 1, result.output
        assert result.stdout == ""
        lines = result.stderr.splitlines()
        lines = [line for line in lines if "it/s" not in line]
        assert lines[-1].startswith("Error: ")
        assert "Traceback" not in result.stderr
        return lines[-1].removeprefix("Error: ")

    return read


@pytest.fixture
def done():
    """The result of a command that did not fail."""

    def check(result):
        assert result.exit_code == 0, result.output
        return result

    return check


@pytest.fixture
def experiment(tmp_path):
    """A gated network that no recipe of this package has trained."""
    folder = tmp_path / "experiment"
    folder.mkdir()
    yaml = EXPERIMENT.format(folder=folder)
    (folder / "hyperparams.yaml").write_text(yaml)
    hparams = load_hyperpyyaml(yaml)
    for gate in adaptive_dropouts(hparams["network"]).values():
        torch.nn.init.normal_(gate.logits)
    hparams["checkpointer"].save_checkpoint()
    return folder
