"""What the timed benchmarks share: options, the clock, the JSON.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
import statistics
import time
from collections.abc import Callable, Collection
from typing import Any

import torch

from speechbrain_neuronprune.files import write_json
from speechbrain_neuronprune.report.cost import compare_latency, paired_ratio

Clock = Callable[[], float]


def timing_parser(
    description: str, sizes: Collection[str], default: list[str], name: str
) -> argparse.ArgumentParser:
    """The options that every timed benchmark has.

    Arguments
    ---------
    description : str
        What the benchmark does, for ``--help``.
    sizes : collection of str
        The sizes that there are.
    default : list of str
        Those that are measured if none are named.
    name : str
        The benchmark's name, after which its JSON file is called.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--sizes", nargs="+", choices=sizes, default=default)
    parser.add_argument("--rounds", type=int, help="instead of each size's own")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="time the processor instead of the wall clock, with one thread: "
        "for a machine that is busy with other things",
    )
    parser.add_argument("--output", default=f"results/benchmarks/{name}.json")
    return parser


def set_up(options: argparse.Namespace) -> Clock:
    """Set threads and seed as the options say; return the clock."""
    torch.set_num_threads(1 if options.cpu_time else options.threads)
    torch.manual_seed(0)
    return time.process_time if options.cpu_time else time.perf_counter


def against_stock(
    stock: Callable[[], Any],
    ours: Callable[[], Any],
    rounds: int,
    clock: Clock,
) -> dict[str, float]:
    """Time two functions in turns; the entries of a row of a table."""
    times = compare_latency({"stock": stock, "ours": ours}, rounds, clock=clock)
    return {
        "stock_ms": statistics.median(times["stock"]),
        "ours_ms": statistics.median(times["ours"]),
        "ratio": paired_ratio(times, "ours", "stock"),
    }


def verdict(met: bool) -> str:
    """In a word, whether a bar was met."""
    return "met" if met else "missed"


def write_results(
    options: argparse.Namespace, clock: Clock, **content: Any
) -> None:
    """Write the benchmark's JSON, with a header on how it was measured."""
    header = {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "clock": clock.__name__,
    }
    write_json(options.output, header | content)
    print(f"Written to {options.output}")
