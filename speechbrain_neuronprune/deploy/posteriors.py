"""The part of a recogniser that is exported: features to log-posteriors.

The features themselves stay outside. The short-time Fourier transform is the
same for every model, ONNX's form of it differs from PyTorch's, and phones and
servers have one of their own.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import torch
from speechbrain.nnet.containers import LengthsCapableSequential
from torch import Tensor, nn

from speechbrain_neuronprune.deploy.int8 import require_float
from speechbrain_neuronprune.deploy.loading import load_model
from speechbrain_neuronprune.fast_layers import use_unit_attention
from speechbrain_neuronprune.files import PathLike

INPUTS = ("features", "lengths")


class Posteriors(nn.Module):
    """Normalisation, network and softmax of a recogniser.

    Arguments
    ---------
    encoder : LengthsCapableSequential
        A recogniser's stages, the first of which computes the features.

    Example
    -------
    >>> from speechbrain.lobes.features import Fbank
    >>> network = nn.Sequential(nn.Linear(40, 5), nn.LogSoftmax(-1))
    >>> encoder = LengthsCapableSequential(Fbank(n_mels=40), network)
    >>> posteriors = Posteriors(encoder)
    >>> posteriors(torch.zeros(2, 30, 40), torch.ones(2)).shape
    torch.Size([2, 30, 5])
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        compute_features, *stages = encoder.values()
        self.bands = compute_features(torch.zeros(1, 1600)).shape[-1]
        self.stages = LengthsCapableSequential(*stages)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Compute log-posteriors.

        Arguments
        ---------
        features : torch.Tensor
            (batch, time, bands).
        lengths : torch.Tensor
            Relative lengths, (batch,).

        Returns
        -------
        torch.Tensor
            (batch, frames, tokens).
        """
        return self.stages(features, lengths)

    def example(
        self, batch: int = 2, time: int = 100, seed: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Noise like log-mel energies, and lengths with padding behind.

        Arguments
        ---------
        batch : int
            Number of utterances.
        time : int
            Number of frames of features.
        seed : int
            What the noise depends on.

        Returns
        -------
        tuple of torch.Tensor
            Features (batch, time, bands) and relative lengths (batch,), from 1
            to 0.5.
        """
        generator = torch.Generator().manual_seed(seed)
        shape = (batch, time, self.bands)
        features = 15 * torch.randn(shape, generator=generator) - 20
        return features, torch.linspace(1.0, 0.5, batch)


def load_posteriors(model_dir: PathLike) -> Posteriors:
    """Load what is exported of a model directory, on the CPU.

    Arguments
    ---------
    model_dir : path-like
        What ``write_model_directory`` wrote for ``EncoderASR``.

    Returns
    -------
    Posteriors
        In evaluation mode.

    Raises
    ------
    DataError
        If the directory cannot be loaded.
    ExportError
        If it computes in int8.
    """
    encoder = load_model(str(model_dir)).mods.encoder
    require_float(encoder, model_dir)
    use_unit_attention(encoder)
    return Posteriors(encoder).eval()
