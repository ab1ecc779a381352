"""A recogniser that measures what its training costs.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import resource
import time
from pathlib import Path
from typing import Any

import torch

from speechbrain_neuronprune import use_fast_layers
from speechbrain_neuronprune.brains import AdaptiveDropoutASR
from speechbrain_neuronprune.files import write_json

COST = "training.json"


class TimedASR(AdaptiveDropoutASR):
    """Writes time and memory of a whole training to ``training.json``."""

    def fit(self, *arguments: Any, **options: Any) -> None:
        """Learn, and measure it; a file that exists is kept."""
        path = Path(self.hparams.output_folder) / COST
        starts = time.perf_counter(), time.process_time()
        super().fit(*arguments, **options)
        ends = time.perf_counter(), time.process_time()
        if not path.exists():
            wall, cpu = (end - s for s, end in zip(starts, ends, strict=True))
            cost = {"seconds": wall, "cpu_seconds": cpu, "peak_mb": peak_mb()}
            write_json(path, cost | {"steps": self.optimizer_step})


class FastTimedASR(TimedASR):
    """The same, with all modules in fast layers."""

    def fit(self, *arguments: Any, **options: Any) -> None:
        """Learn in fast layers, and measure it."""
        for module in self.modules.values():
            use_fast_layers(module)
        super().fit(*arguments, **options)


def peak_mb() -> float:
    """The most memory that this process has held: on a GPU if it uses one,
    else in all."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 2**20
    # Linux counts in units of 1024 bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
