"""Sums over several processes are those of one.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch
from torch import multiprocessing, nn

from speechbrain_neuronprune.saliency import (
    CRITERIA,
    measure_activations,
    measure_saliency,
)

RANKS = 2


def make_model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)
    )


def make_speech():
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(1, n, 3, generator=generator) for n in (9, 4, 20)]


def measure(batches):
    model = make_model()
    statistics = measure_activations(model, batches)
    moments = {name: each.deviation for name, each in statistics.items()}
    scores = measure_saliency(model, batches, CRITERIA, window=4)
    return {**scores, "deviation": moments}


# Which batches each process reads: some each, or one of them none.
SHARES = (([0, 2], [1]), ([0, 1, 2], []))


def one_of_several(rank, folder):
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/store",
        rank=rank,
        world_size=RANKS,
    )
    measured = [
        measure([make_speech()[index] for index in share[rank]])
        for share in SHARES
    ]
    torch.save(measured, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_every_process_gets_the_result_of_all(tmp_path):
    multiprocessing.spawn(one_of_several, (str(tmp_path),), RANKS)
    alone = measure(make_speech())
    for rank in range(RANKS):
        for together in torch.load(tmp_path / f"{rank}.pt"):
            for name in alone:
                for group, scores in alone[name].items():
                    got = together[name][group].tolist()
                    wanted = pytest.approx(scores.tolist(), rel=1e-6)
                    assert got == wanted, f"{name} of {group}, rank {rank}"
