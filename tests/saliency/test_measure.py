"""Sums over many batches and several processes are exact and finite.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math

import pytest
import torch
from torch import multiprocessing, nn

from speechbrain_neuronprune.errors import SaliencyError
from speechbrain_neuronprune.saliency import (
    CRITERIA,
    measure_activations,
    measure_saliency,
)
from speechbrain_neuronprune.saliency.batches import Batch
from speechbrain_neuronprune.saliency.frames import Frames
from speechbrain_neuronprune.saliency.measure import Measure, Settings
from speechbrain_neuronprune.saliency.passage import Passage
from speechbrain_neuronprune.saliency.taps import Tap

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
    # Frames of which wait until the speech of a process has ended
    few = measure_saliency(model, batches, ["mi_lagged"], frame_stride=2)
    few = {"few": few["mi_lagged"]}
    return {**scores, **few, "deviation": moments}


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


@pytest.fixture
def seen():
    """Frames of one batch, of which two are speech."""
    tap = Tap("fc", nn.Linear(3, 2), nn.Linear(2, 3))
    batch = Batch(6, torch.zeros(1, 4, 3), torch.tensor([0.5]))
    units = torch.full((1, 4, 2), math.nan)
    units[:, :2] = 1.0
    passage = Passage(tap, batch, torch.zeros(1, 4, 3), units)
    [positions] = passage.speech()
    return Frames(passage, positions, window=4)


def test_quiet_batches_count_behind_a_loud_one(seen):
    """In float32 they would be rounded away."""
    measure = Measure(seen.passage.tap, Settings(), total=(2,))
    measure.add(seen, total=torch.tensor([1e9, 1.0]))
    for _ in range(200):
        measure.add(seen, total=torch.tensor([1.0, 1.0]))
    assert measure.sums["total"].tolist() == [1e9 + 200, 201]


def test_frames_are_counted_when_they_are_added(seen):
    measure = Measure(seen.passage.tap, Settings(), total=(2,))
    measure.add(seen, total=torch.ones(2))
    assert measure.mean("total").tolist() == [0.5, 0.5]
    assert measure.accumulate(total=torch.ones(2))
    assert measure.mean("total").tolist() == [1.0, 1.0]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_sums_have_to_be_finite(seen, value):
    measure = Measure(seen.passage.tap, Settings(), total=(2,))
    with pytest.raises(SaliencyError, match="of group fc overflow"):
        measure.add(seen, total=torch.tensor([0.0, value]))
    seen.passage.units[0, 1, 1] = value
    del seen.units  # which the search for the culprit has cached
    with pytest.raises(SaliencyError, match="activations of group fc contain"):
        measure.add(seen, total=torch.tensor([0.0, value]))


def test_float32_does_not_drift_over_many_batches():
    """Against the same model in float64, batch by batch the same speech."""
    model = make_model()
    generator = torch.Generator().manual_seed(2)
    speech = [
        2.0 + torch.randn(2, 12, 3, generator=generator) for _ in range(200)
    ]
    single = measure_saliency(model, speech, CRITERIA, window=4)
    double = measure_saliency(
        model.double(), [x.double() for x in speech], CRITERIA, window=4
    )
    for name in CRITERIA:
        for group, scores in double[name].items():
            wanted = pytest.approx(scores.tolist(), rel=1e-5, abs=1e-9)
            assert single[name][group].tolist() == wanted, f"{name} of {group}"


@pytest.mark.parametrize("name", ["window", "frame_stride", "gradient_stride"])
def test_what_is_counted_is_whole(name):
    with pytest.raises(SaliencyError, match=f"{name}=2.5 is no whole number"):
        measure_saliency(make_model(), [], ["mi"], **{name: 2.5})
