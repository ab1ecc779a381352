"""A recogniser cut in two: what removing units cannot change, and the rest.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from speechbrain.inference import EncoderASR
from speechbrain.nnet.containers import LengthsCapableSequential
from torch import Tensor, nn

from speechbrain_neuronprune.errors import UnitsError
from speechbrain_neuronprune.modes import evaluating
from speechbrain_neuronprune.saliency.streaming import call_model
from speechbrain_neuronprune.units.chains import runs_in_order, stages
from speechbrain_neuronprune.units.stagewise import run_stages


class CutRecogniser:
    """A recogniser, cut before the first stage that has chosen units.

    The stages before it need to be computed only once per utterance,
    whatever is removed afterwards.

    Arguments
    ---------
    recogniser : EncoderASR
        Its encoder is a chain of stages, as in a model directory.
    groups : iterable of str
        Names of the chosen unit groups of ``recogniser.mods.encoder``.

    Raises
    ------
    UnitsError
        If the encoder is no such chain.
    """

    def __init__(self, recogniser: EncoderASR, groups: Iterable[str]) -> None:
        encoder = recogniser.mods.encoder
        if not isinstance(encoder, LengthsCapableSequential):
            raise UnitsError(
                f"The recogniser's encoder is a {type(encoder).__name__}, not "
                "a LengthsCapableSequential of stages; give a model directory "
                "that write_model_directory wrote."
            )
        self.recogniser = recogniser
        self.encoder = encoder
        names = list(encoder.keys())
        self.start = min(names.index(name.partition(".")[0]) for name in groups)

    @torch.no_grad()
    def before(self, wavs: Tensor, lengths: Tensor) -> Tensor:
        """What the first chosen stage gets.

        Arguments
        ---------
        wavs : torch.Tensor
            (batch, samples), on any device.
        lengths : torch.Tensor
            Relative lengths, (batch,).

        Returns
        -------
        torch.Tensor
            On the recogniser's device.
        """
        device = self.recogniser.device
        with evaluating(self.encoder):
            return run_stages(
                self.encoder,
                wavs.to(device),
                lengths.to(device),
                stop=self.start,
            )

    def after(
        self, x: Tensor, lengths: Tensor, tail: nn.Module | None = None
    ) -> Tensor:
        """What the recogniser makes of it.

        Arguments
        ---------
        x : torch.Tensor
            What ``before`` gave.
        lengths : torch.Tensor
            Relative lengths, (batch,).
        tail : nn.Module, optional
            What stands in for the first chosen stage, see ``tail_of``.

        Returns
        -------
        torch.Tensor
            Log-posteriors, (batch, frames, tokens).
        """
        start = self.start
        if tail is not None:
            x, start = call_model(tail, x, lengths), start + 1
        return run_stages(self.encoder, x, lengths, start)

    def transcribe(
        self, x: Tensor, lengths: Tensor, tail: nn.Module | None = None
    ) -> list[list[str]]:
        """The words that the recogniser finds in what ``before`` gave.

        Arguments
        ---------
        x : torch.Tensor
            As in ``after``.
        lengths : torch.Tensor
            As in ``after``.
        tail : nn.Module, optional
            As in ``after``.

        Returns
        -------
        list of list of str
            The words of every utterance.
        """
        encode = partial(self.after, tail=tail)
        with evaluating(self.encoder), self._encoding_by(encode):
            texts, _ = self.recogniser.transcribe_batch(x, lengths)
        return [text.split() for text in texts]

    @property
    def first_stage(self) -> nn.Module:
        """The first stage that has chosen units."""
        return list(self.encoder.values())[self.start]

    @contextmanager
    def _encoding_by(self, encode: Callable[..., Tensor]) -> Iterator[None]:
        """The recogniser's decoder stays as it is; its encoder is a function
        meanwhile."""
        modules = self.recogniser.mods
        modules["encoder"] = _Call(encode)
        try:
            yield
        finally:
            modules["encoder"] = self.encoder


class _Call(nn.Module):
    """A function in a module's place."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Call the function."""
        return self.function(x, lengths)


def first_to_run(
    layers: Sequence[nn.Module], run: Callable[[], object]
) -> nn.Module:
    """Find out which of some layers a network calls first.

    Arguments
    ---------
    layers : sequence of nn.Module
        Of the network.
    run : callable
        Runs the network.

    Returns
    -------
    nn.Module
        One of the layers.

    Example
    -------
    >>> one, two = nn.Linear(2, 2), nn.Linear(2, 2)
    >>> first_to_run([one, two], lambda: one(two(torch.ones(2)))) is two
    True
    """
    called: list[nn.Module] = []

    def note(module: nn.Module, inputs: tuple) -> None:
        called.append(module)

    handles = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return called[0]


def tail_of(
    network: nn.Module, layer: nn.Module, run: Callable[[], object]
) -> nn.Module:
    """What remains to be computed of a network if a layer's output is known.

    Many acoustic models end in a chain of fully connected layers: what their
    forward returns is what the chain returned, the very same tensor. Then all
    that comes before the chain is needed for its first layer only.

    Arguments
    ---------
    network : nn.Module
        The network.
    layer : nn.Module
        One of its layers.
    run : callable
        Runs the network.

    Returns
    -------
    nn.Module
        The chain that begins with the layer and gives the network's output;
        where there is none, the network itself.

    Example
    -------
    >>> chain = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> network = nn.Sequential(nn.Conv1d(4, 4, 1), chain)
    >>> tail = tail_of(network, chain[0], lambda: network(torch.zeros(1, 4, 2)))
    >>> tail is chain
    True
    """
    given: dict[nn.Module, list] = {network: []}
    for module in network.modules():
        if runs_in_order(module) and _first_stage(module) is layer:
            given[module] = []
    handles = [
        module.register_forward_hook(
            lambda module, inputs, output: given[module].append(output)
        )
        for module in given
    ]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    [result] = given.pop(network)
    chains = (
        module
        for module, outputs in given.items()
        if len(outputs) == 1 and outputs[0] is result
    )
    return next(chains, network)


def _first_stage(container: nn.Module) -> nn.Module | None:
    return next((stage for _, stage in stages(container)), None)


@contextmanager
def remembered(layer: nn.Module, outputs: list[Tensor]) -> Iterator[None]:
    """Let a layer compute its first call only if it has never done so.

    Of all layers with chosen units the first to run gets the same input
    whatever is removed, so its output can be kept. With wide inputs, it is
    most of the work.

    Arguments
    ---------
    layer : nn.Module
        The layer.
    outputs : list of torch.Tensor
        Empty, and then it keeps the output; or what was kept for the same
        input.

    Example
    -------
    >>> layer, kept = nn.Linear(2, 3), []
    >>> with remembered(layer, kept):
    ...     y = layer(torch.ones(2))
    >>> with remembered(layer, kept):  # the input is not looked at
    ...     torch.equal(layer(torch.zeros(2)), y)
    True
    """
    compute = layer.forward
    calls = 0

    def forward(x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if calls > 1:  # what it gets now, removed units may have changed
            return compute(x)
        if not outputs:
            outputs.append(compute(x).detach())
        # What follows may work in place.
        return outputs[0].clone()

    layer.forward = forward
    try:
        yield
    finally:
        del layer.forward
