"""One pass over speech that feeds every measure of every group.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from speechbrain.utils.distributed import if_main_process
from torch import Tensor, nn
from tqdm import tqdm

from speechbrain_neuronprune.errors import SaliencyError
from speechbrain_neuronprune.modes import evaluating, frozen
from speechbrain_neuronprune.saliency.batches import (
    Batch,
    Batches,
    read_batches,
)
from speechbrain_neuronprune.saliency.frames import Frames
from speechbrain_neuronprune.saliency.measure import WINDOW, Measure
from speechbrain_neuronprune.saliency.passage import Passage
from speechbrain_neuronprune.saliency.scratch import Scratch
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


def at_their_taps(
    measures: Mapping[Tap, Sequence[Measure]], with_gradients: bool
) -> dict[Tap, list[Measure]]:
    """The measures that need gradients, or those that need none, at the taps
    that have such.

    Arguments
    ---------
    measures : mapping of Tap to sequence of Measure
        What is measured where.
    with_gradients : bool
        Which measures to choose.

    Returns
    -------
    dict of Tap to list of Measure
        Without the taps that have none.
    """
    chosen = {
        tap: [one for one in at_tap if one.needs_gradient == with_gradients]
        for tap, at_tap in measures.items()
    }
    return {tap: at_tap for tap, at_tap in chosen.items() if at_tap}


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
    frame_stride : int
        Of so many frames measures without a gradient look at one.
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
        frame_stride: int = 1,
        gradient_stride: int = 1,
    ) -> None:
        self.model = model
        self.measures = measures
        self.listening = at_their_taps(measures, with_gradients=False)
        self.differentiating = at_their_taps(measures, with_gradients=True)
        self.frame_stride = frame_stride
        self.gradient_stride = gradient_stride
        self.window = window
        self.scratch = Scratch()
        self.forward = forward or call_model
        self.loss = loss or decision_loss

    def run(self, batches: Batches, progress: bool = False) -> None:
        """Read all batches once, then add up the sums of all processes.

        Arguments
        ---------
        batches : iterable
            As ``read_batches`` takes them.
        progress : bool
            Show a progress bar, in the main process.

        Raises
        ------
        SaliencyError
            If there was no speech, a measure cannot read what passes its
            tap, or no gradient can be computed.
        """
        self._check_gradients()
        bar = tqdm(
            batches,
            dynamic_ncols=True,
            disable=not (progress and if_main_process()),
        )
        device = next(self.model.parameters()).device
        seen = 0
        with evaluating(self.model):
            for batch in read_batches(bar, device):
                self._hear(batch)
                seen += 1
        # The model may run in half precision, but sums shall not.
        with torch.autocast(device.type, enabled=False):
            for measure in self._all():
                measure.finish()
                measure.reduce_over_ranks()
        self._check_speech(seen)

    def _hear(self, batch: Batch) -> None:
        """The model hears every utterance once, some with gradients."""
        chosen, others = None, batch
        if self.differentiating:
            chosen, others = batch.split(self.gradient_stride)
        if others is not None and self.listening:
            self._listen(others)
        if chosen is not None:
            # To freeze parameters for longer would cost time: PyTorch
            # multiplies a view that is turned with a frozen matrix one
            # utterance after the other.
            with frozen(self.model), torch.enable_grad():
                self._differentiate(chosen)

    def _listen(self, batch: Batch) -> None:
        """Measures see a layer at once: later, a model that works in place
        may have written something else there."""

        def receive(tap: Tap, inputs: Tensor, units: Tensor) -> None:
            passage = Passage(tap, batch, inputs, units)
            self._update(passage, self.listening[tap])

        with torch.no_grad(), tapped(self.listening, receive):
            self.forward(self.model, batch.x, batch.lengths)

    def _differentiate(self, batch: Batch) -> None:
        """For a gradient the model has to finish first; measures that need
        none do not wait for it."""
        kept: list[Passage] = []
        hearing = True

        def receive(tap: Tap, inputs: Tensor, units: Tensor) -> None:
            if not hearing:  # what gradient checkpointing computes again
                return
            passage = Passage(tap, batch, inputs, units)
            self._update(passage, self.listening.get(tap, ()))
            if tap in self.differentiating:
                kept.append(passage)

        with tapped(self.measures, receive, differentiable=True):
            output = self.forward(self.model, batch.x, batch.lengths)
            hearing = False
            differentiate(self.loss(output, batch.x, batch.lengths), kept)
        for passage in kept:
            # For a gradient all frames count.
            self._update(passage, self.differentiating[passage.tap], stride=1)

    def _update(
        self,
        passage: Passage,
        measures: Sequence[Measure],
        stride: int | None = None,
    ) -> None:
        stride = stride or self.frame_stride
        # The model may run in half precision, but sums shall not.
        device = passage.units.device.type
        with torch.no_grad(), torch.autocast(device, enabled=False):
            for positions in passage.speech(stride):
                frames = Frames(passage, positions, self.window, self.scratch)
                for measure in measures:
                    measure.update(frames)

    def _all(self) -> Iterator[Measure]:
        for measures in self.measures.values():
            yield from measures

    def _check_gradients(self) -> None:
        if self.differentiating and torch.is_inference_mode_enabled():
            raise SaliencyError(
                "The criterion taylor needs gradients, and there are none in "
                "torch.inference_mode(); rank outside of it (torch.no_grad() "
                "does no harm), or by another criterion."
            )

    def _check_speech(self, seen: int) -> None:
        for measure in self._all():
            if measure.sums["frames"] == 0:
                raise SaliencyError(
                    "There is no speech frame to measure group "
                    f"{measure.tap.name} on after {seen} batches; give "
                    "batches that are not all padding, and a forward= that "
                    "runs this layer."
                )
