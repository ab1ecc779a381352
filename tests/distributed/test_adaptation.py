"""Adapting in two processes is adapting in one with two batches a step.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json

import pytest
import torch

from speechbrain_neuronprune.deploy.transcribe import load_model
from speechbrain_neuronprune.errors import SelectionError
from tests.distributed import runs
from tests.distributed.launch import in_processes
from tests.tiny_adaptation import make_adaptation
from tests.tiny_recogniser import write_recogniser


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("adapted")


@pytest.fixture(scope="module")
def model(folder):
    return write_recogniser(folder / "recogniser")


@pytest.fixture(scope="module")
def together(folder, model):
    arguments = (model, folder / "two")
    return in_processes(folder / "returned", runs.adapt_together, *arguments)


@pytest.fixture(scope="module")
def alone(folder, model):
    run_opts = {"grad_accumulation_factor": 2}
    return runs.adapt(model, folder / "one", run_opts=run_opts)


def test_all_learn_the_same(alone, together, model):
    start = load_model(str(model)).mods.encoder.state_dict()
    assert any(not start[name].equal(value) for name, value in alone.items())
    for state in together:
        for name, value in alone.items():
            assert torch.allclose(state[name], value, atol=1e-6), name


def test_the_same_neurons_are_chosen(folder, alone, together):
    one, two = (
        torch.load(folder / name / "selection.pt", weights_only=True)
        for name in ("one", "two")
    )
    assert one.keys() == two.keys()
    for group, parts in one.items():
        for part, chosen in parts.items():
            assert chosen.equal(two[group][part]), (group, part)


def test_every_line_is_written_once(folder, alone, together):
    one, two = (
        (folder / name / "adaptation.jsonl").read_text().splitlines()
        for name in ("one", "two")
    )
    epochs = [json.loads(line)["epoch"] for line in two]
    assert epochs == [0, 1, 2]
    steps = [[json.loads(line)["step"] for line in run] for run in (one, two)]
    assert steps[0] == steps[1] == [0, 2, 4]


def test_the_rate_ends_at_zero(folder, together):
    [path] = folder.glob("two/round1/stage1/save/*/lr_annealing.ckpt")
    saved = torch.load(path)
    assert saved["current_step"] == saved["num_training_steps"] == 4


def test_other_numbers_of_processes_do_not_go_on(folder, model, together):
    one = make_adaptation(model, folder / "two", augments=False)
    with pytest.raises(SelectionError, match="with processes=2, not 1"):
        one.run()
