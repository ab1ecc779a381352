"""Speech at 16 kHz from a fresh eSpeak NG process.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np
from scipy.signal import resample_poly

from speechbrain_neuronprune.corpus import espeak
from speechbrain_neuronprune.corpus.espeak import Voice
from speechbrain_neuronprune.corpus.extras import require_extra
from speechbrain_neuronprune.errors import DataError

SAMPLE_RATE = 16_000


def synthesize(lines: Sequence[tuple[Voice, str]]) -> Iterator[np.ndarray]:
    """Speak lines in a process of their own.

    The same lines in the same order give the same samples, whatever the
    caller did before. They depend on the version of eSpeak NG, and on the
    platform as far as its arithmetic and its ``rand()`` do.

    Arguments
    ---------
    lines : sequence of (Voice, str)
        Who says what.

    Yields
    ------
    np.ndarray
        Each line's samples at 16 kHz, float64, within -1 to 1.

    Example
    -------
    >>> lines = [(Voice("en-us", "f2"), "carry the bottles")]
    >>> [speech] = synthesize(lines)  # doctest: +SKIP
    >>> round(len(speech) / SAMPLE_RATE, 1)  # doctest: +SKIP
    0.9
    """
    require_extra(
        "espeakng-loader", "The embedded corpus is spoken by eSpeak NG"
    )
    with tempfile.TemporaryFile() as log:
        worker = subprocess.Popen(
            [sys.executable, espeak.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        try:
            _send(lines, worker.stdin)
            [rate] = struct.unpack("<I", _receive(4, worker.stdout, log))
            for _ in lines:
                [size] = struct.unpack("<I", _receive(4, worker.stdout, log))
                samples = _receive(size, worker.stdout, log)
                yield _resample(np.frombuffer(samples, dtype="<i2"), rate)
        finally:
            worker.kill()
            worker.wait()
            worker.stdout.close()


def _send(lines: Sequence[tuple[Voice, str]], pipe: BinaryIO) -> None:
    try:
        with pipe:
            pipe.write(json.dumps(lines).encode())
    except BrokenPipeError:
        pass  # the worker is dead: reading from it will tell why


def _receive(size: int, pipe: BinaryIO, log: BinaryIO) -> bytes:
    content = pipe.read(size)
    if len(content) < size:
        log.seek(0)
        last = log.read().decode(errors="replace").strip().splitlines()[-1:]
        reason = last[0] if last else "it ended without a word"
        raise DataError(f"The eSpeak NG process failed: {reason}")
    return content


def _resample(samples: np.ndarray, rate: int) -> np.ndarray:
    # In double precision: no rounding that differs from CPU to CPU survives
    # the later conversion to 16 bits.
    return resample_poly(samples / 32768, SAMPLE_RATE, rate)
