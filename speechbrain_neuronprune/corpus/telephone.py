"""The telephone: a narrow band, and eight bits per sample.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import io

import numpy as np
import soundfile
from scipy.signal import resample_poly

RATE = 8_000
LOUDEST = 0.95  # the code ends below full scale, and the filter overshoots


def telephone(speech: np.ndarray, rate: int) -> np.ndarray:
    """Send speech over a telephone line: 8 kHz, mu-law (ITU-T G.711).

    Arguments
    ---------
    speech : np.ndarray
        Samples, full scale being 1.
    rate : int
        Their sampling rate in hertz. Up to 8 kHz only the code is heard.

    Returns
    -------
    np.ndarray
        As many samples, at the same rate.

    Example
    -------
    >>> tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    >>> np.abs(telephone(tone, 16000) - tone).max() < 0.01
    np.True_
    """
    line_rate = min(rate, RATE)
    narrow = resample_poly(speech, line_rate, rate)
    # As a telephone adjusts to the speaker: nothing is cut off at the top.
    gain = min(1.0, LOUDEST / max(np.abs(narrow).max(), LOUDEST))
    received = _mu_law(gain * narrow, line_rate) / gain
    return resample_poly(received, rate, line_rate)[: len(speech)]


def _mu_law(samples: np.ndarray, rate: int) -> np.ndarray:
    """Encode and decode."""
    with io.BytesIO() as line:
        soundfile.write(line, samples, rate, format="WAV", subtype="ULAW")
        line.seek(0)
        return soundfile.read(line)[0]
