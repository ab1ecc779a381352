"""A Conformer that learns with chunks.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch
from speechbrain.utils.dynamic_chunk_training import DynChunkTrainConfig

from speechbrain_neuronprune.brains import chunks
from speechbrain_neuronprune.deploy.run import open_run
from speechbrain_neuronprune.errors import TrainingError
from tests.tiny_run import write_run

FRAMES = torch.ones(1)


@pytest.fixture(scope="module")
def brain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    changes = {"chunk_size": 4, "left_context_chunks": 1}
    write_run(folder, "conformer_ctc_mini_streaming", **changes)
    return open_run(folder)


def test_evaluation_hears_nothing_behind_a_chunk(brain):
    features = torch.randn(1, 64, 20)
    changed = features.clone()
    changed[:, 40:] += 1.0  # a chunk is 16 frames; convolutions reach further
    one, two = (brain.activations(x, FRAMES) for x in (features, changed))
    assert torch.equal(one[:, :8], two[:, :8])
    assert not torch.equal(one[:, 8:], two[:, 8:])


def test_training_draws_its_chunks(brain, monkeypatch):
    seen = []
    encode = brain.pruned.encode

    def spy(*args, dynchunktrain_config):
        seen.append(dynchunktrain_config)
        return encode(*args, dynchunktrain_config=dynchunktrain_config)

    monkeypatch.setattr(brain.pruned, "encode", spy)
    brain.modules.train()
    for _ in range(20):
        brain.activations(torch.randn(1, 16, 20), FRAMES)
    brain.modules.eval()
    brain.activations(torch.randn(1, 16, 20), FRAMES)
    *drawn, evaluated = seen
    assert evaluated == DynChunkTrainConfig(4, 1)
    assert None in drawn and len({str(one) for one in drawn}) > 5


def test_several_processes_are_refused(brain, monkeypatch):
    monkeypatch.setattr(chunks, "process_count", lambda: 2)
    with pytest.raises(TrainingError, match="cannot train in several proc"):
        brain.on_fit_start()
