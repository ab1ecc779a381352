"""Speech as the commands read it.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import functools
from collections.abc import Callable, Iterable
from pathlib import Path

import click
from speechbrain.dataio.dataset import DynamicItemDataset
from torch import Tensor

from speechbrain_neuronprune.corpus.speech import (
    Normalizer,
    load_audio,
    read_speech,
)
from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.training.dataio import (
    Rows,
    merge_rows,
    speech_dataset,
)


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

    Raises
    ------
    DataError
        If a split cannot be read, or two have an utterance of the same name.
    """
    return merge_rows(
        (str(Path(folder, split)), _rows_of_split(folder, split, labelled))
        for split in splits
    )


def _rows_of_split(folder: str, split: str, labelled: bool) -> Rows:
    return {
        one.name: {
            "wav": str(one.path),
            "duration": one.seconds,
            "wrd": " ".join(one.words),
        }
        for one in read_speech(folder, split, labelled).utterances
    }


def reader(normalize: Normalizer, keep: bool = True) -> Callable[[str], Tensor]:
    """Make what reads audio at the model's rate.

    Arguments
    ---------
    normalize : callable
        Brings samples to the model's rate, for instance the
        ``audio_normalizer`` of SpeechBrain's interfaces.
    keep : bool
        Whether what was read stays in memory.

    Returns
    -------
    callable
        From a path to (samples,); raises DataError if a file is damaged or
        ends too early.
    """

    def read(path: str) -> Tensor:
        return normalize(*load_audio(Path(path)))

    return functools.cache(read) if keep else read


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
