"""What recordings sound like, in figures that can be compared.

The frames of a recording's log-mel spectrogram lose their mean, as a filter
adds one. What is left says how speech rises, falls and stands out:
reverberation slows the falls, noise fills the pauses.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import functools

import numpy as np
import torch
from torchaudio.transforms import MelSpectrogram

from speechbrain_neuronprune.corpus.audio import level

FRAME, HOP = 0.025, 0.01  # seconds
BANDS = 40
RANGE = 14.0  # log power below the loudest; 60 dB, the rest is rounding
LATER = 5  # frames
PERCENTILES = (5, 25, 75, 95)
LEAST_SPREAD = 1e-3


def statistics(speech: np.ndarray, rate: int) -> np.ndarray:
    """Describe a recording.

    Arguments
    ---------
    speech : np.ndarray
        Samples, at least 60 ms.
    rate : int
        Their sampling rate in hertz.

    Returns
    -------
    np.ndarray
        For each of 40 bands: spread, changes within 10 and within 50 ms,
        falls within 50 ms, and four percentiles. Neither level nor spectrum
        matters.

    Example
    -------
    >>> speech = np.random.RandomState(0).standard_normal(8000)
    >>> statistics(speech, 16000).shape
    (320,)
    """
    frames = _log_mel(speech, rate)
    frames = np.maximum(frames, frames.max() - RANGE)
    frames = frames - frames.mean(0)
    later = frames[LATER:] - frames[:-LATER]
    return np.concatenate(
        [
            frames.std(0),
            np.abs(np.diff(frames, axis=0)).mean(0),
            np.abs(later).mean(0),
            np.minimum(later, 0.0).mean(0),
            *np.percentile(frames, PERCENTILES, axis=0),
        ]
    )


def distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """How far one set of recordings is from another.

    Arguments
    ---------
    ours : np.ndarray
        Recordings by figures, see ``statistics``.
    theirs : np.ndarray
        The same of those that set the scale: 1 is how much their recordings
        spread.

    Returns
    -------
    float
        The mean over figures of the squared distance of means.

    Example
    -------
    >>> theirs = np.array([[0.0], [2.0]])
    >>> round(distance(np.array([[4.0]]), theirs), 2)
    8.98
    """
    spread = theirs.std(0) + LEAST_SPREAD
    gap = (ours.mean(0) - theirs.mean(0)) / spread
    return float(np.mean(np.square(gap)))


def _log_mel(speech: np.ndarray, rate: int) -> np.ndarray:
    """Frames by bands."""
    loud = torch.from_numpy(speech / level(speech)).float()
    return torch.log(_mel(rate)(loud) + 1e-7).T.double().numpy()


@functools.cache
def _mel(rate: int) -> MelSpectrogram:
    return MelSpectrogram(
        rate,
        n_fft=round(FRAME * rate),
        hop_length=round(HOP * rate),
        n_mels=BANDS,
    )
