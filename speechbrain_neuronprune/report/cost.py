"""What one forward pass of a model costs: size, work, time and memory.

Timings on a shared machine drift, by a factor of two and more. So models are
timed in turns (``compare_latency``), and compared by the median of the ratios
within each turn (``paired_ratio``), from which slow phases cancel.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import contextlib
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from speechbrain_neuronprune.modes import evaluating, frozen
from speechbrain_neuronprune.report.memory import peak_bytes
from speechbrain_neuronprune.units import count_parameters

MEGABYTE = 2**20


@dataclass(frozen=True)
class Cost:
    """The cost of a model and of one forward pass of it.

    Arguments
    ---------
    parameters : int
        Number of parameters, without the logits of gates.
    macs : int
        Multiply-accumulates of all matrix products and convolutions.
    latency_ms : float
        Median duration of a forward pass, in milliseconds.
    real_time_factor : float, optional
        Latency divided by the duration of the audio, where that is known.
    peak_memory_mb : float
        Most memory held at one moment (weights, input and activations), in
        units of 2**20 bytes.
    """

    parameters: int
    macs: int
    latency_ms: float
    real_time_factor: float | None
    peak_memory_mb: float

    def as_dict(self) -> dict[str, Any]:
        """Return the five figures as a dictionary that JSON can hold.

        Returns
        -------
        dict of str to Any
            By the names of the arguments.
        """
        return asdict(self)


def measure_cost(
    model: nn.Module,
    example: Any,
    seconds: float | None = None,
    rounds: int = 20,
    warmup: int = 3,
    call: Callable | None = None,
) -> Cost:
    """Measure what one forward pass of ``model`` costs in evaluation.

    The model is left as it was found, train and evaluation modes included.

    Arguments
    ---------
    model : nn.Module
        The model, on the device where it shall be measured.
    example : torch.Tensor, tuple or dict
        The input, or all positional or all keyword arguments of the forward
        pass, on the same device.
    seconds : float, optional
        Duration of the audio in ``example``, for the real-time factor.
    rounds : int
        Number of timed forward passes; their median is the latency.
    warmup : int
        Number of forward passes before those.
    call : callable, optional
        What is run instead of the model's ``forward``, for instance the bound
        method ``model.encode``.

    Returns
    -------
    Cost
        Parameters, multiply-accumulates, latency, real-time factor, memory.

    Example
    -------
    >>> model = nn.Linear(80, 10)
    >>> cost = measure_cost(model, torch.rand(1, 100, 80), seconds=1.0)
    >>> cost.parameters, cost.macs
    (810, 80000)
    """
    args, kwargs = _arguments(example)
    call = model if call is None else call

    def forward() -> Any:
        return call(*args, **kwargs)

    with evaluating(model):
        # Layers that cache (rotary embeddings) must fill their cache outside
        # inference mode, or the model could not be trained afterwards. Frozen,
        # because the flop counter puts hooks on the gradients of modules'
        # inputs, which fails for a view of a parameter taken without gradients.
        with torch.no_grad(), frozen(model):
            macs = _count_macs(forward)
        with torch.inference_mode():
            memory = peak_bytes(forward, model, example)
            runs = compare_latency({"model": forward}, rounds, warmup)["model"]
    latency_ms = statistics.median(runs)
    return Cost(
        parameters=count_parameters(model),
        macs=macs,
        latency_ms=latency_ms,
        real_time_factor=latency_ms / 1000 / seconds if seconds else None,
        peak_memory_mb=memory / MEGABYTE,
    )


def compare_latency(
    models: dict[str, Callable[[], Any]],
    rounds: int,
    warmup: int = 2,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Time several functions in turns, so that slow phases hit all alike.

    Who begins rotates from round to round. Gradients and modes are up to the
    caller: a function may be a forward pass or a whole training step.

    Arguments
    ---------
    models : dict
        Name -> function without arguments.
    rounds : int
        How often each one is timed.
    warmup : int
        How often each one is run before that.
    clock : callable
        Returns seconds. ``time.process_time`` leaves out the time that other
        programs took: on a busy machine, with one thread, it is steadier.

    Returns
    -------
    dict
        Name -> duration in milliseconds in every round.

    Example
    -------
    >>> times = compare_latency({"a": lambda: 1, "b": lambda: 2}, rounds=5)
    >>> {name: len(durations) for name, durations in times.items()}
    {'a': 5, 'b': 5}
    """
    for function in models.values():
        for _ in range(warmup):
            function()
    names = list(models)
    times: dict[str, list[float]] = {name: [] for name in names}
    for start in range(rounds):
        start %= max(len(names), 1)
        for name in names[start:] + names[:start]:
            times[name].append(_milliseconds(models[name], clock))
    return times


def paired_ratio(times: dict[str, list[float]], name: str, base: str) -> float:
    """Return the median over rounds of ``name``'s duration over ``base``'s.

    Arguments
    ---------
    times : dict
        What ``compare_latency`` returned.
    name : str
        The function in the numerator.
    base : str
        The function in the denominator.

    Returns
    -------
    float
        Above 1 where ``name`` is slower than ``base``.

    Example
    -------
    >>> paired_ratio({"a": [2.0, 8.0], "b": [1.0, 4.0]}, "a", "b")
    2.0
    """
    return statistics.median(
        a / b for a, b in zip(times[name], times[base], strict=True)
    )


def _arguments(example: Any) -> tuple[tuple, dict]:
    """Split an example into positional and keyword arguments."""
    if isinstance(example, dict):
        return (), example
    if isinstance(example, (tuple, list)):
        return tuple(example), {}
    return (example,), {}


def _milliseconds(
    function: Callable[[], Any], clock: Callable[[], float]
) -> float:
    """Return how long a function takes, work queued on a GPU included."""
    _synchronize()
    start = clock()
    function()
    _synchronize()
    return 1000 * (clock() - start)


def _synchronize() -> None:
    """Wait for the GPU, if this process uses one."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def _count_macs(forward: Callable[[], Any]) -> int:
    """Count the multiply-accumulates of a forward pass."""
    with _unfused(), FlopCounterMode(display=False) as counter:
        forward()
    return counter.get_total_flops() // 2


@contextlib.contextmanager
def _unfused() -> Iterator[None]:
    """Run attention and recurrent layers as plain matrix products.

    The flop counter knows no fused operator of the CPU: it would count
    nothing for scaled dot product attention, ``nn.MultiheadAttention``'s fast
    path and ``nn.LSTM``.
    """
    fast_path = torch.backends.mha.get_fastpath_enabled()
    with contextlib.ExitStack() as stack:
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast_path)
        # Reading the flags of oneDNN warns of an Intel GPU which is not used.
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", UserWarning)
        stack.enter_context(torch.backends.mkldnn.flags(enabled=False))
        stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        torch.backends.mha.set_fastpath_enabled(False)
        yield
