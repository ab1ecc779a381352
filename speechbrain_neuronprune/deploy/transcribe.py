"""Transcribe audio files with a model directory.

The call is::

    python -m speechbrain_neuronprune.deploy.transcribe MODEL_DIR WAV...

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from speechbrain.inference import EncoderASR

from speechbrain_neuronprune.corpus.splits import SHORTEST
from speechbrain_neuronprune.deploy.loading import load_model
from speechbrain_neuronprune.errors import DataError, NeuronPruneError

__all__ = ["load_model", "main", "transcribe"]


def transcribe(model: EncoderASR, path: str) -> str:
    """Transcribe one file.

    Arguments
    ---------
    model : EncoderASR
        The recogniser.
    path : str
        An audio file.

    Returns
    -------
    str
        Its words.

    Raises
    ------
    DataError
        If there is no such file, or it cannot be read, or it is too short.
    """
    if not Path(path).is_file():
        raise DataError(f"There is no audio file {path}; check its path.")
    try:
        speech = model.load_audio(str(Path(path).absolute()))
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(
            f"The audio file {path} cannot be read ({error}); give a WAV or "
            "FLAC file."
        ) from error
    try:
        [words], _ = model.transcribe_batch(speech.unsqueeze(0), torch.ones(1))
    except RuntimeError as error:
        if len(speech) >= SHORTEST * model.audio_normalizer.sample_rate:
            raise
        raise DataError(
            f"The audio file {path} is too short, with {len(speech)} samples; "
            f"give one of at least {1000 * SHORTEST:g} ms."
        ) from error
    return words


def main(arguments: Sequence[str] | None = None) -> int:
    """Print ``FILE: WORDS`` for every file.

    Arguments
    ---------
    arguments : sequence of str, optional
        Those of the command line; by default the ones of this process.

    Returns
    -------
    int
        The exit status: 0, or 1 after an error that is told.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", help="the model directory")
    parser.add_argument("audio", nargs="+", help="WAV or FLAC files")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)
    logging.getLogger("speechbrain").setLevel(logging.WARNING)
    try:
        model = load_model(options.model, options.device)
        for path in options.audio:
            print(f"{path}: {transcribe(model, path)}", flush=True)
    except NeuronPruneError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever reads, head for instance, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
