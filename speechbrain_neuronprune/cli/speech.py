"""Speech as the commands read it.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import functools
from collections.abc import Callable, Iterable
from pathlib import Path

import click
import soundfile
from speechbrain.dataio.dataset import DynamicItemDataset
from torch import Tensor

from speechbrain_neuronprune.analysis.speech import (
    Normalizer,
    Utterance,
    load_audio,
    read_speech,
)
from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.training.dataio import Rows, speech_dataset


def rows_of(
    folder: str | None, splits: Iterable[str], labelled: bool = True
) -> Rows:
    """Read which utterances some splits have.

    Arguments
    ---------
    folder : str or None
        A corpus in LibriSpeech's layout; None if there are no splits.
    splits : iterable of str
        Their names.
    labelled : bool
        Whether to read the transcripts.

    Returns
    -------
    dict
        Utterance to row, as ``dataio`` describes it.
    """
    return {
        one.name: {
            "wav": str(one.path),
            "duration": one.seconds,
            "wrd": " ".join(one.words),
        }
        for split in splits
        for one in read_speech(folder, split, labelled).utterances
    }


def reader(normalize: Normalizer) -> Callable[[str], Tensor]:
    """Make what reads audio at the model's rate, and keeps it in memory.

    Arguments
    ---------
    normalize : callable
        Brings samples to the model's rate, for instance the
        ``audio_normalizer`` of SpeechBrain's interfaces.

    Returns
    -------
    callable
        From a path to (samples,); raises DataError if a file is damaged or
        ends too early.
    """

    @functools.cache
    def read(path: str) -> Tensor:
        about = soundfile.info(path)
        utterance = Utterance(
            Path(path).stem, Path(path), (), about.frames, about.samplerate
        )
        return normalize(load_audio(utterance), utterance.rate)

    return read


def datasets(
    folder: str | None, splits: Iterable[str], normalize: Normalizer | None
) -> dict[str, DynamicItemDataset]:
    """Make a dataset of every split.

    Arguments
    ---------
    folder : str or None
        A corpus in LibriSpeech's layout.
    splits : iterable of str
        Their names.
    normalize : callable or None
        Brings samples to the model's rate; None where that is not known.

    Returns
    -------
    dict of str to DynamicItemDataset
        Split to speech with its words.

    Raises
    ------
    NeuronPruneError
        If speech is missing, or the model's rate is not known.
    """
    splits = list(dict.fromkeys(splits))
    if bool(splits) != (folder is not None):
        raise click.UsageError("Give --data and --split, both or neither.")
    if splits and normalize is None:
        raise DataError(
            "Error rates are measured for runs of the recipes only; leave "
            "out --data and --split, and evaluate with the recipe's script."
        )
    return {
        split: speech_dataset(rows_of(folder, [split]), reader(normalize))
        for split in splits
    }
