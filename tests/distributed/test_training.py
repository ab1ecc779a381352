"""Training in two processes is training in one with two batches a step.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch

from tests.distributed import runs
from tests.distributed.launch import in_processes

ACCUMULATED = {"grad_accumulation_factor": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("distributed")


@pytest.fixture(scope="module")
def alone(folder):
    """One process: the whole training, and one that ends after 46 steps."""
    whole = runs.train(folder / "one", **ACCUMULATED)
    often = {"ckpt_interval_minutes": 0, "ckpt_interval_steps": 10}
    part = {"optimizer_step_limit": 46, **often, **ACCUMULATED}
    runs.train(folder / "one-to-two", **part)
    return whole


@pytest.fixture(scope="module")
def together(folder, alone):
    """What every process made of every training, see ``runs``."""
    return in_processes(folder / "returned", runs.three_trainings, folder)


def largest_difference(one, other):
    steps = one["trajectory"].keys() & other["trajectory"].keys()
    differences = [
        (one["trajectory"][step] - other["trajectory"][step]).abs().max()
        for step in steps
    ]
    return max(differences).item()


def test_the_logits_take_the_same_way(alone, together):
    whole = together[0]["whole"]
    assert list(whole["trajectory"]) == list(range(1, 51))
    assert largest_difference(alone, whole) < 1e-5
    moved = alone["trajectory"][39] - alone["trajectory"][1]
    assert moved.abs().max() > 0.5


def test_all_processes_have_the_same_model(together):
    first, second = (one["whole"] for one in together)
    assert first["step"] == second["step"] == 50
    for name, value in first["state"].items():
        assert torch.equal(value, second["state"][name]), name


def test_units_are_settled_alike(alone, together):
    for one in together:
        for name, kept in alone["keep"].items():
            assert torch.equal(kept, one["whole"]["keep"][name]), name
            assert 0 < kept.sum() < len(kept)


def test_two_processes_leave_what_one_goes_on_with(folder, alone, together):
    assert max(together[0]["two-to-one"]["trajectory"]) == 27
    gone_on = runs.train(folder / "two-to-one", **ACCUMULATED)
    # The checkpoint is from within an epoch of ten steps.
    assert list(gone_on["trajectory"]) == list(range(26, 51))
    assert largest_difference(alone, gone_on) < 1e-5


def test_one_process_leaves_what_two_go_on_with(alone, together):
    for one in together:
        gone_on = one["one-to-two"]
        assert list(gone_on["trajectory"]) == list(range(46, 51))
        assert gone_on["step"] == 50
        assert largest_difference(alone, gone_on) < 1e-5


def test_every_process_draws_for_itself(together):
    first, second = (one["whole"]["draw"] for one in together)
    assert not torch.isclose(first, second).any()


def test_the_trained_modules_are_not_wrapped(alone, together):
    assert together[0]["whole"]["modules"] == alone["modules"]
