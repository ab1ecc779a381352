"""The time-frequency convolutional network of Mitra and Franco.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections import OrderedDict
from collections.abc import Callable

import torch
import torch.nn.functional as F
from speechbrain.nnet.normalization import BatchNorm1d
from torch import Tensor, nn

from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.padding import frames_of

# Mitra and Franco have no normalisation; "layer" and "batch" are offered by us.
NORMS: dict[str | None, Callable[[int], nn.Module] | None] = {
    None: None,
    "batch": lambda units: BatchNorm1d(
        input_size=units, combine_batch_time=True
    ),
    "layer": nn.LayerNorm,
}

# Gain of the Xavier initialisation: sqrt(2) for rectifiers, 1 for tanh, for
# the sigmoid 4, the inverse of its slope at zero. With torch's own value of 1
# each sigmoid layer would hand on a quarter of the variation that it gets,
# and the first layers would learn next to nothing for a long time.
GAINS: dict[type, float] = {
    nn.Sigmoid: 4.0,
    nn.ReLU: 2.0**0.5,
    nn.LeakyReLU: 2.0**0.5,
    nn.PReLU: 2.0**0.5,
    nn.ELU: 2.0**0.5,
    nn.GELU: 2.0**0.5,
    nn.SiLU: 2.0**0.5,
}


class TimeFrequencyCNN(nn.Module):
    """The acoustic model of Mitra and Franco, sec. 2: convolutions over time
    and over frequency, side by side, then fully connected layers.

    For every frame, a window of ``context`` frames on each side is seen by
    two convolutions: filters over time, which slide along the frames of each
    band, and filters over frequency, which slide along the bands and span
    all frames of the window. Both are max-pooled along the way they slide,
    concatenated, and given to a stack of Linear layers, whose hidden units
    are the neurons that Mitra and Franco prune and adapt.

    From the paper: 40 gammatone energies, 8 frames of context on each side,
    75 time filters with pooling over 5 and 200 frequency filters with pooling
    over 3, kernels of eight, layers of 2,048 units. It has "four hidden
    layers" in sec. 2, and three in its tables of pruning results; give
    ``fc_layers=3`` for those. Inferred: that the time filters are shared by
    the bands and span eight frames (eight fits both ways without a
    remainder: 17 - 7 = 2 * 5 and 40 - 7 = 3 * 11 positions), that pooling
    comes before the nonlinearity, that beyond the edges there are zeros, and
    the nonlinearity, which the paper does not state. The default is the
    sigmoid, because hypo neurons of a ReLU are simply dead: they are zero
    everywhere, and neither pruning nor updating them changes anything.

    Arguments
    ---------
    output_size : int
        Targets, for instance tokens or states.
    bands : int
        Frequency bands of the input.
    context : int
        Frames on each side of the frame in question.
    time_filters : int
        Filters over time.
    time_kernel : int
        Frames that one of them spans.
    time_pool : int
        Positions in time that are pooled.
    frequency_filters : int
        Filters over frequency.
    frequency_kernel : int
        Bands that one of them spans.
    frequency_pool : int
        Positions in frequency that are pooled.
    fc_layers : int
        Fully connected hidden layers.
    fc_units : int
        Units of each.
    activation : type
        Class of the nonlinearity, of the convolutions as well.
    dropout : float
        Rate of the dropout after every hidden layer; 0 leaves it out.
    norm : str, optional
        ``batch`` or ``layer``: a normalisation before every hidden
        nonlinearity. Not in the paper.
    subsampling : int
        Of so many windows one is computed, for outputs that are slower than
        frames, such as words with CTC. Not in the paper.

    Example
    -------
    >>> model = TimeFrequencyCNN(10, fc_layers=2, fc_units=32, subsampling=3)
    >>> model(torch.randn(2, 50, 40)).shape
    torch.Size([2, 17, 10])
    >>> from speechbrain_neuronprune import find_units
    >>> list(find_units(model))
    ['fc.linear1', 'fc.linear2']
    """

    def __init__(
        self,
        output_size: int,
        bands: int = 40,
        context: int = 8,
        time_filters: int = 75,
        time_kernel: int = 8,
        time_pool: int = 5,
        frequency_filters: int = 200,
        frequency_kernel: int = 8,
        frequency_pool: int = 3,
        fc_layers: int = 4,
        fc_units: int = 2048,
        activation: Callable[[], nn.Module] = nn.Sigmoid,
        dropout: float = 0.0,
        norm: str | None = None,
        subsampling: int = 1,
    ) -> None:
        super().__init__()
        window = 2 * context + 1
        self.context = context
        self.subsampling = subsampling
        self.time_pool = time_pool
        self.frequency_pool = frequency_pool
        self.time_pools = _pools("time", window, time_kernel, time_pool)
        frequency_pools = _pools(
            "frequency", bands, frequency_kernel, frequency_pool
        )
        _check(norm, subsampling)
        self.time_conv = nn.Conv2d(1, time_filters, (time_kernel, 1))
        self.frequency_conv = nn.Conv2d(
            1,
            frequency_filters,
            (window, frequency_kernel),
            stride=(subsampling, 1),
        )
        self.activation = activation()
        features = time_filters * bands * self.time_pools
        features += frequency_filters * frequency_pools
        sizes = [features, *[fc_units] * fc_layers, output_size]
        self.fc = _fully_connected(sizes, activation, dropout, norm)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Xavier initialisation with the gain of the nonlinearity. Biases
        make up for its value at zero (1/2 for the sigmoid), so that every
        unit starts in the middle of its range. Inferred."""
        gain = GAINS.get(type(self.activation), 1.0)
        resting = self.activation(self.time_conv.weight.new_zeros(1))
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.xavier_uniform_(module.weight, gain)
                nn.init.zeros_(module.bias)
            if isinstance(module, nn.Linear):
                module.bias -= resting * module.weight.sum(1)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Give the logits of every ``subsampling``-th frame.

        Arguments
        ---------
        x : torch.Tensor
            Features, (batch, time, bands).
        lengths : torch.Tensor, optional
            Relative lengths, (batch,). Frames beyond are set to zero, so
            that the outputs of valid frames depend neither on the padding
            nor on the other utterances (with ``norm="batch"`` in evaluation
            only).

        Returns
        -------
        torch.Tensor
            (batch, ceil(time / subsampling), output_size).
        """
        if lengths is not None:
            x = x.masked_fill(~frames_of(x, lengths).unsqueeze(-1), 0.0)
        x = F.pad(x, (0, 0, self.context, self.context)).unsqueeze(1)
        maps = [*self._over_time(x), self._over_frequency(x)]
        features = [self.activation(one).transpose(1, 2) for one in maps]
        return self.fc(torch.cat([one.flatten(2) for one in features], -1))

    def _over_time(self, x: Tensor) -> list[Tensor]:
        """One map (batch, filters, frames, bands) per pool of the window.

        A filter gives the same at a frame whichever window sees it there. So
        the utterance is convolved once: pool p of the window that begins at
        frame t holds the positions from t + p * time_pool on.
        """
        frames = x.shape[2] - 2 * self.context
        positions = self.time_conv(x)
        starts = range(0, self.time_pools * self.time_pool, self.time_pool)
        return [
            F.max_pool2d(
                positions[:, :, start : start + frames + self.time_pool - 1],
                (self.time_pool, 1),
                (self.subsampling, 1),
            )
            for start in starts
        ]

    def _over_frequency(self, x: Tensor) -> Tensor:
        """A map (batch, filters, frames, pools); a filter spans the whole
        window, so each of its positions in time is one window."""
        return F.max_pool2d(self.frequency_conv(x), (1, self.frequency_pool))


def _fully_connected(
    sizes: list[int],
    activation: Callable[[], nn.Module],
    dropout: float,
    norm: str | None,
) -> nn.Sequential:
    """Hidden layers and the output layer; stages are numbered by layer, so
    names do not depend on which of them there are."""
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    hidden = zip(sizes[:-2], sizes[1:-1], strict=True)
    for layer, (inputs, units) in enumerate(hidden, start=1):
        stages[f"linear{layer}"] = nn.Linear(inputs, units)
        if norm is not None:
            stages[f"norm{layer}"] = NORMS[norm](units)
        stages[f"activation{layer}"] = activation()
        if dropout > 0.0:
            stages[f"dropout{layer}"] = nn.Dropout(dropout)
    stages["output"] = nn.Linear(sizes[-2], sizes[-1])
    return nn.Sequential(stages)


def _pools(axis: str, size: int, kernel: int, pool: int) -> int:
    """How many whole pools there are; a remainder is dropped."""
    pools = (size - kernel + 1) // pool if min(kernel, pool) > 0 else 0
    if pools < 1:
        raise TrainingError(
            f"A time-frequency CNN cannot slide a {axis} kernel of {kernel} "
            f"and pool {pool} positions within {size}; give a smaller "
            f"{axis}_kernel or {axis}_pool."
        )
    return pools


def _check(norm: str | None, subsampling: int) -> None:
    if norm not in NORMS:
        raise TrainingError(
            f"A time-frequency CNN has no norm={norm!r}; give None, 'batch' "
            "or 'layer'."
        )
    if subsampling < 1:
        raise TrainingError(
            f"A time-frequency CNN cannot have subsampling={subsampling}; "
            "give 1 or more."
        )
