"""Reading and writing audio files, whatever their sampling rate.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

from speechbrain_neuronprune.errors import DataError

SUFFIXES = (".flac", ".mp3", ".ogg", ".wav")
LOUDEST = 0.99  # of full scale


def is_audio(path: Path) -> bool:
    """Whether a path is that of an audio file that can be read here.

    Arguments
    ---------
    path : Path
        Any path.

    Returns
    -------
    bool
        By its suffix; folders are none.

    Example
    -------
    >>> is_audio(Path("1001-1.trans.txt"))
    False
    """
    return path.suffix.lower() in SUFFIXES and path.is_file()


def find_audio(folder: Path) -> list[Path]:
    """Find the audio files below a folder, at any depth.

    Arguments
    ---------
    folder : Path
        Where to look; it need not exist.

    Returns
    -------
    list
        Their paths, sorted; hidden ones are left out.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> (folder / "a.flac").touch(), (folder / "a.trans.txt").touch()
    (None, None)
    >>> [path.name for path in find_audio(folder)]
    ['a.flac']
    """
    return sorted(filter(is_audio, folder.glob("**/[!.]*")))


@contextlib.contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Say what to do where an audio file cannot be decoded.

    Arguments
    ---------
    path : Path
        What is read in the block.

    Raises
    ------
    DataError
        In place of what goes wrong.
    """
    try:
        yield
    except (OSError, soundfile.LibsndfileError) as error:
        raise DataError(
            f"The audio file {path} cannot be decoded ({error}); copy it again "
            "or remove it."
        ) from error


def decode(path: Path, dtype: str = "float64") -> tuple[np.ndarray, int]:
    """Decode an audio file to its end.

    Arguments
    ---------
    path : Path
        The file.
    dtype : str
        Of the samples.

    Returns
    -------
    np.ndarray
        (samples,), or (samples, channels) if there are several channels.
    int
        Their sampling rate in hertz.

    Raises
    ------
    DataError
        If the file cannot be decoded, or is empty or truncated.
    """
    with decoding(path), soundfile.SoundFile(path) as file:
        samples = file.read(dtype=dtype)
        promised, rate = file.frames, file.samplerate
    if not len(samples) or len(samples) < promised:
        raise DataError(
            f"The audio file {path} is empty or truncated: it ends after "
            f"{len(samples)} of {promised} samples; copy it again or remove it."
        )
    return samples, rate


def read_audio(path: Path, rate: int | None = None) -> tuple[np.ndarray, int]:
    """Read an audio file; several channels become their mean.

    Arguments
    ---------
    path : Path
        The file.
    rate : int, optional
        The sampling rate to convert to, in hertz; by default that of the file.

    Returns
    -------
    np.ndarray
        Samples, float64, within -1 to 1.
    int
        Their sampling rate.

    Raises
    ------
    DataError
        If the file cannot be decoded, or is empty or truncated.
    """
    samples, own_rate = decode(path)
    if samples.ndim > 1:
        samples = samples.mean(1)
    if rate is None or rate == own_rate:
        return samples, own_rate
    return resample_poly(samples, rate, own_rate), rate


def write_audio(path: Path, samples: np.ndarray, rate: int) -> None:
    """Write samples with 16 bits each; where some are beyond full scale, all
    become quieter.

    Arguments
    ---------
    path : Path
        The file; its suffix tells the format.
    samples : np.ndarray
        Samples, full scale being 1.
    rate : int
        Their sampling rate in hertz.

    Example
    -------
    >>> path = getfixture("tmp_path") / "tone.flac"
    >>> write_audio(path, 2 * np.sin(np.arange(800) / 9), 8000)
    >>> samples, rate = read_audio(path)
    >>> f"{samples.max():.2f} at {rate} Hz"
    '0.99 at 8000 Hz'
    """
    peak = np.abs(samples).max()
    if peak > LOUDEST:
        samples = samples * (LOUDEST / peak)
    quantised = np.rint(32768 * samples).astype(np.int16)
    soundfile.write(path, quantised, rate, subtype="PCM_16")


def level(samples: np.ndarray) -> float:
    """The root mean square of samples; never quite zero, to divide by it.

    Arguments
    ---------
    samples : np.ndarray
        The samples.

    Returns
    -------
    float
        Their level, full scale being 1.

    Example
    -------
    >>> level(np.array([0.3, -0.3]))
    0.3
    """
    power = np.mean(np.square(samples))
    return float(np.sqrt(np.maximum(power, np.finfo(float).tiny)))
