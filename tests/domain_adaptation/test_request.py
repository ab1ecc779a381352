"""Requests: parts of another adaptation are never used.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import functools
import json
from dataclasses import replace

import pytest
import torch

from speechbrain_neuronprune.errors import SelectionError
from tests.tiny_adaptation import labelled_rows


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


def test_how_much_is_replayed_cannot_change(adaptation):
    adaptation()._check_request("start")
    one = adaptation()
    one.speech = replace(one.speech, replayed=labelled_rows(4, "alike"))
    with pytest.raises(SelectionError, match=r"replayed=0 \(.*, not 4 \("):
        one._check_request("start")


def test_other_speech_of_the_same_names_is_refused(adaptation):
    """Domains that are made of one corpus have its names and lengths."""
    adaptation()._check_request("start")
    one = adaptation()
    rows = one.speech.target.items()
    noisy = {name: row | {"wav": f"noisy/{name}"} for name, row in rows}
    one.speech = replace(one.speech, target=noisy)
    with pytest.raises(SelectionError, match=r"target=6 \(.*, not 6 \("):
        one._check_request("start")


def test_an_optimiser_cannot_change(adaptation):
    adaptation()._check_request("start")
    one = adaptation()
    one.hparams["opt_class"] = functools.partial(torch.optim.SGD, lr=0.1)
    with pytest.raises(SelectionError, match="Adam, not torch.*SGD, lr=0.1"):
        one._check_request("start")
