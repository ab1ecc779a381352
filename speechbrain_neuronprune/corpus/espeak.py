"""A ctypes binding to eSpeak NG, and a worker that speaks lines from stdin.

The library comes with the wheel ``espeakng-loader``. It keeps global state
(the phase of its flutter, its random numbers), so the same request sounds a
little different the second time. But what a fresh process says in one order
has always the same bytes; ``synthesis.py`` runs this file as that process.
Hence it imports nothing of this package: the interpreter starts at once.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import ctypes
import json
import struct
import sys
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

# Constants of speak_lib.h.
AUDIO_OUTPUT_SYNCHRONOUS = 2
INITIALIZE_DONT_EXIT = 0x8000
CHARS_UTF8 = 1
POS_CHARACTER = 1
RATE, VOLUME, PITCH = 1, 2, 3

# The library ends the process if its folder's path outgrows its buffer.
LONGEST_DATA_PATH = 150

Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class Voice(NamedTuple):
    """How a line is spoken.

    Arguments
    ---------
    accent : str
        An eSpeak NG language, for instance "en-us" ("en" is British).
    variant : str
        An eSpeak NG voice variant, for instance "f2". Case matters.
    pitch : int
        From 0 to 100; 50 is the variant's own.
    rate : int
        Words per minute, from 80 to 450.
    """

    accent: str
    variant: str
    pitch: int = 50
    rate: int = 170


class Espeak:
    """The library, loaded. One per process, for its state is global.

    Example
    -------
    >>> espeak = Espeak()  # doctest: +SKIP
    >>> espeak.say("carry the bottles", Voice("en-us", "f2"))  # doctest: +SKIP
    array([0, 0, 0, ..., 0, 0, 0], dtype=int16)
    """

    def __init__(self):
        import espeakng_loader

        self._data = Path(espeakng_loader.get_data_path())
        if len(str(self._data)) > LONGEST_DATA_PATH:
            raise ValueError(
                f"eSpeak NG cannot open its data at {self._data}: the path "
                f"has {len(str(self._data))} characters and may have "
                f"{LONGEST_DATA_PATH}; install in a folder nearer the root."
            )
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._pieces: list[np.ndarray] = []
        self._callback = Callback(self._receive)  # C keeps no reference
        self.sample_rate = self._library.espeak_Initialize(
            AUDIO_OUTPUT_SYNCHRONOUS,
            0,
            str(self._data).encode(),
            INITIALIZE_DONT_EXIT,
        )
        if self.sample_rate <= 0:
            raise RuntimeError(f"eSpeak NG cannot read {self._data}.")
        self._library.espeak_SetSynthCallback(self._callback)
        # The clock was the seed of the breath noise.
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))

    def say(self, text: str, voice: Voice) -> np.ndarray:
        """Speak one line.

        Arguments
        ---------
        text : str
            What to say.
        voice : Voice
            How to say it.

        Returns
        -------
        np.ndarray
            The int16 samples, at ``sample_rate``.

        Raises
        ------
        RuntimeError
            If the library did not say it.
        """
        self._select(voice)
        self._pieces.clear()
        line = text.encode()
        status = self._library.espeak_Synth(
            line, len(line) + 1, 0, POS_CHARACTER, 0, CHARS_UTF8, None, None
        )
        if status != 0 or not self._pieces:
            raise RuntimeError(f"eSpeak NG did not say {text!r} as {voice}.")
        return np.concatenate(self._pieces)

    def _select(self, voice: Voice) -> None:
        # The library ignores a variant it does not have, silently.
        known = self._data / "voices" / "!v" / voice.variant
        name = f"{voice.accent}+{voice.variant}".encode()
        if not known.is_file() or self._library.espeak_SetVoiceByName(name):
            raise ValueError(
                f"eSpeak NG has no voice {voice.accent}+{voice.variant}; "
                f"see the folders lang and voices of {self._data}."
            )
        self._library.espeak_SetParameter(PITCH, voice.pitch, 0)
        self._library.espeak_SetParameter(RATE, voice.rate, 0)

    def _receive(self, samples, count: int, events) -> int:
        if samples and count > 0:
            piece = np.ctypeslib.as_array(samples, (count,))
            self._pieces.append(piece.copy())
        return 0  # go on


def serve(requests: list, output: BinaryIO) -> None:
    """Speak every line and write each as a length and that many bytes.

    Arguments
    ---------
    requests : list
        Pairs of the four values of a ``Voice`` and a text.
    output : BinaryIO
        Where to write.
    """
    espeak = Espeak()
    output.write(struct.pack("<I", espeak.sample_rate))
    for voice, text in requests:
        samples = espeak.say(text, Voice(*voice)).astype("<i2").tobytes()
        output.write(struct.pack("<I", len(samples)) + samples)
    output.flush()


if __name__ == "__main__":
    serve(json.load(sys.stdin), sys.stdout.buffer)
