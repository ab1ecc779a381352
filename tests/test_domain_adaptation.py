"""An adaptation in one process: schedule, labels, requests.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json

import pytest
import torch

from speechbrain_neuronprune.adaptation.pseudo_labels import PseudoLabel
from speechbrain_neuronprune.errors import DataError, SelectionError
from tests.tiny_adaptation import make_adaptation
from tests.tiny_recogniser import write_recogniser


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_recogniser(tmp_path_factory.mktemp("recogniser") / "run")


@pytest.fixture
def adaptation(model, tmp_path):
    """Make an adaptation of the tiny recogniser, in a folder."""

    def make(folder="run", **changes):
        return make_adaptation(model, tmp_path / folder, **changes)

    return make


def schedule(one):
    """What the last checkpoint of the first stage says of the rate."""
    [path] = one.folder.glob("round1/stage1/save/*/lr_annealing.ckpt")
    return torch.load(path)


@pytest.mark.parametrize("factor", [1, 2])
def test_the_rate_ends_at_zero(adaptation, factor):
    one = adaptation(run_opts={"grad_accumulation_factor": factor})
    one.run()
    saved = schedule(one)
    assert saved["current_step"] == saved["num_training_steps"]
    # Five batches an epoch; what is left over makes no step.
    assert saved["current_step"] == 2 * (5 // factor)


def test_an_epoch_too_short_for_a_step_is_refused(adaptation):
    one = adaptation(run_opts={"grad_accumulation_factor": 6})
    message = "5 batches, too few for a step with grad_accumulation_factor=6"
    with pytest.raises(DataError, match=message):
        one.run()


def test_what_labels_draw_depends_on_seed_and_round_only(adaptation):
    def drawn(folder, number, **changes):
        one = adaptation(folder, **changes)
        one.label = lambda: {
            name: PseudoLabel([1], torch.rand(()).item()) for name in "01"
        }
        place = one.folder / f"round{number}"
        place.mkdir()
        one._labels(place)
        return (place / "labels.json").read_text()

    first = drawn("first", 1)
    torch.manual_seed(5)
    assert drawn("again", 1) == first
    assert drawn("again", 2) != first
    assert drawn("other", 1, seed=5) != first


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_batch_length": 2.0}, "with max_batch_length=0.7, not 2.0"),
        ({"num_buckets": 2}, "with num_buckets=1, not 2"),
        ({"weight_decay": 0.1}, "with weight_decay=0.0, not 0.1"),
        ({"max_grad_norm": 1.0}, "with max_grad_norm=5.0, not 1.0"),
        (
            {"run_opts": {"max_grad_norm": 2.0}},
            "with max_grad_norm=5.0, not 2.0",
        ),
        (
            {"run_opts": {"grad_accumulation_factor": 2}},
            "with grad_accumulation_factor=1, not 2",
        ),
    ],
)
def test_what_the_schedule_depends_on_cannot_change(
    adaptation, changes, message
):
    adaptation()._check_request("start")
    adaptation()._check_request("start")
    with pytest.raises(SelectionError, match=message):
        adaptation(**changes)._check_request("start")
    one = adaptation()
    assert json.loads((one.folder / "request.json").read_text())["seed"] == 1234


def test_a_start_cannot_count_where_the_last_state_is_taken(adaptation):
    with pytest.raises(SelectionError, match="set start_counts to False"):
        adaptation(start_counts=True).run()
