"""Joining processes; most is tested in several of them, in ``distributed``.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch
from torch import nn

from speechbrain_neuronprune import processes
from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.processes import (
    average_gradients,
    check_batch_norms,
    join_processes,
    rewrapped,
    unwrapped,
)


@pytest.mark.parametrize("backend", ["nccl", "none"])
def test_a_backend_that_does_not_run_here(monkeypatch, backend):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("LOCAL_RANK", "0")
    message = f"--distributed_backend={backend} .*--distributed_backend=gloo"
    with pytest.raises(TrainingError, match=message):
        join_processes({"distributed_backend": backend})


def test_batch_norms_are_for_one_process_or_gpus(monkeypatch):
    plain = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
    model = nn.Sequential(plain, nn.BatchNorm1d(2))
    check_batch_norms(model, "cpu")
    monkeypatch.setattr(processes, "process_count", lambda: 3)
    check_batch_norms(plain, "cpu")
    check_batch_norms(model, "cuda:0")
    message = "norm 1 cannot be .* --grad_accumulation_factor=3 for"
    with pytest.raises(TrainingError, match=message):
        check_batch_norms(model, "cpu")


def test_one_process_keeps_its_gradients_and_modules():
    module = nn.Linear(2, 1)
    module(torch.ones(2)).backward()
    average_gradients(module.parameters())
    assert module.weight.grad.tolist() == [[1.0, 1.0]]
    assert rewrapped(module) is unwrapped(module) is module


def test_compiled_modules_are_unwrapped():
    """Plans have the names that the model's parts have without it."""
    model = nn.Linear(2, 2)
    assert unwrapped(torch.compile(model)) is model
