"""One pass over speech that feeds every measure of every group.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from speechbrain.utils.distributed import if_main_process
from torch import Tensor, nn
from tqdm import tqdm

from speechbrain_neuronprune.errors import SaliencyError
from speechbrain_neuronprune.saliency.batches import (
    Batch,
    Batches,
    read_batches,
)
from speechbrain_neuronprune.saliency.frames import Frames
from speechbrain_neuronprune.saliency.measure import WINDOW, Measure
from speechbrain_neuronprune.saliency.passage import Passage
from speechbrain_neuronprune.saliency.taps import Tap, tapped
from speechbrain_neuronprune.saliency.taylor import (
    decision_loss,
    differentiate,
)

Forward = Callable[[nn.Module, Tensor, Tensor | None], Any]
Loss = Callable[[Any, Tensor, Tensor | None], Tensor]


def call_model(model: nn.Module, x: Tensor, lengths: Tensor | None) -> Any:
    """Call a model, with relative lengths if it takes them.

    Arguments
    ---------
    model : nn.Module
        Its forward takes ``x``, and perhaps a parameter named ``lengths``.
    x : torch.Tensor
        The input.
    lengths : torch.Tensor or None
        Relative lengths, (batch,).

    Returns
    -------
    Any
        What the model returns.
    """
    parameters = inspect.signature(model.forward).parameters
    if lengths is not None and "lengths" in parameters:
        return model(x, lengths=lengths)
    return model(x)


@contextmanager
def evaluating(model: nn.Module, frozen: bool = False) -> Iterator[None]:
    """Put a model into evaluation mode, and everything back afterwards.

    Arguments
    ---------
    model : nn.Module
        Any model.
    frozen : bool
        No parameter requires a gradient meanwhile.
    """
    training = [(module, module.training) for module in model.modules()]
    trainable = [(p, p.requires_grad) for p in model.parameters()]
    try:
        model.eval()
        if frozen:
            model.requires_grad_(False)
        yield
    finally:
        for module, was_training in training:
            module.training = was_training
        for parameter, required_grad in trainable:
            parameter.requires_grad_(required_grad)


class Part(NamedTuple):
    """Measures that see the same utterances, and see them together."""

    measures: dict[Tap, list[Measure]]
    needs_gradient: bool
    stride: int  # of so many utterances they see one


def parts_of(
    measures: Mapping[Tap, Sequence[Measure]], gradient_stride: int
) -> list[Part]:
    """Measures that need a gradient see fewer utterances than the others if
    they shall, and see all together with them if not: a gradient then costs a
    backward pass, not a forward pass too."""

    def part(stride: int, *needs: bool) -> Part:
        chosen = {
            tap: [one for one in at_tap if one.needs_gradient in needs]
            for tap, at_tap in measures.items()
        }
        everyone = [one for at_tap in chosen.values() for one in at_tap]
        needs_gradient = any(one.needs_gradient for one in everyone)
        return Part(chosen if everyone else {}, needs_gradient, stride)

    if gradient_stride == 1:
        return [part(1, False, True)]
    parts = [part(1, False), part(gradient_stride, True)]
    return [part for part in parts if part.measures]


class StreamingPass:
    """Runs a model over speech and shows the measures what passes the taps.

    Arguments
    ---------
    model : nn.Module
        The model.
    measures : mapping of Tap to sequence of Measure
        What to measure where.
    window : int
        Frames in the time window.
    forward : callable, optional
        How to run the model; by default ``call_model``.
    loss : callable, optional
        What to differentiate; by default ``decision_loss``.
    gradient_stride : int
        Measures that need a gradient see one of so many utterances.
    """

    def __init__(
        self,
        model: nn.Module,
        measures: Mapping[Tap, Sequence[Measure]],
        window: int = WINDOW,
        forward: Forward | None = None,
        loss: Loss | None = None,
        gradient_stride: int = 1,
    ) -> None:
        self.model = model
        self.parts = parts_of(measures, gradient_stride)
        self.window = window
        self.forward = forward or call_model
        self.loss = loss or decision_loss

    def run(self, batches: Batches, progress: bool = False) -> None:
        """Read all batches once, then add up the sums of all processes."""
        bar = tqdm(
            batches,
            dynamic_ncols=True,
            disable=not (progress and if_main_process()),
        )
        device = next(self.model.parameters()).device
        needs_gradient = any(part.needs_gradient for part in self.parts)
        seen = 0
        with evaluating(self.model, frozen=needs_gradient):
            for batch in read_batches(bar, device):
                for part in self.parts:
                    self._see(batch.every(part.stride), part)
                seen += 1
        # The model may run in half precision, but sums shall not.
        with torch.autocast(device.type, enabled=False):
            for measure in self._all():
                measure.finish()
                measure.reduce_over_ranks()
        self._check_speech(seen)

    def _see(self, batch: Batch | None, part: Part) -> None:
        """Measures see a layer at once, unless they need the gradient, for
        which the model has to finish first."""
        if batch is None:
            return
        kept: list[Passage] = []

        def receive(tap: Tap, inputs: Tensor, units: Tensor) -> None:
            passage = Passage(tap, batch, inputs, units)
            if part.needs_gradient:
                kept.append(passage)
            else:
                self._update(passage, part)

        with (
            torch.set_grad_enabled(part.needs_gradient),
            tapped(part.measures, receive, part.needs_gradient),
        ):
            output = self.forward(self.model, batch.x, batch.lengths)
            if part.needs_gradient:
                differentiate(self.loss(output, batch.x, batch.lengths), kept)
        for passage in kept:
            self._update(passage, part)

    def _update(self, passage: Passage, part: Part) -> None:
        # The model may run in half precision, but sums shall not.
        with torch.autocast(passage.units.device.type, enabled=False):
            for positions in passage.speech():
                frames = Frames(passage, positions, self.window)
                for measure in part.measures[passage.tap]:
                    measure.update(frames)

    def _all(self) -> Iterator[Measure]:
        for part in self.parts:
            for measures in part.measures.values():
                yield from measures

    def _check_speech(self, seen: int) -> None:
        for measure in self._all():
            if measure.sums["frames"] == 0:
                raise SaliencyError(
                    "There is no speech frame to measure group "
                    f"{measure.tap.name} on after {seen} batches; give "
                    "batches that are not all padding, and a forward= that "
                    "runs this layer."
                )
