"""Datasets of speech, labelled or not, out of rows.

A row holds what a manifest says of an utterance: ``wav`` (a path),
``duration`` (seconds), ``wrd`` (its words, or nothing), and once it is
labelled ``labels`` (token ids).

Authors
 * The speechbrain-neuronprune authors 2026
"""

import functools
import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from speechbrain.dataio.dataio import load_data_csv, read_audio
from speechbrain.dataio.dataset import DynamicItemDataset
from torch import Tensor

from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.files import PathLike, glance

Rows = dict[str, dict[str, Any]]


def read_rows(*manifests: PathLike) -> Rows:
    """Read csv manifests.

    Arguments
    ---------
    *manifests : path-like
        What ``prepare_librispeech_layout`` wrote.

    Returns
    -------
    dict
        Utterance to row.

    Raises
    ------
    DataError
        If two of them have an utterance of the same name.
    """
    names = map(str, manifests)
    return merge_rows((name, load_data_csv(name)) for name in names)


def merge_rows(parts: Iterable[tuple[str, Rows]]) -> Rows:
    """Put the rows of several places together.

    Arguments
    ---------
    parts : iterable of tuple of str and dict
        What to call a place in a message, and its rows.

    Returns
    -------
    dict
        Utterance to row.

    Raises
    ------
    DataError
        If two places have an utterance of the same name, as copies of one
        corpus have: one of them would be lost.

    Example
    -------
    >>> sorted(merge_rows([("a.csv", {"1": {}}), ("b.csv", {"2": {}})]))
    ['1', '2']
    """
    rows: Rows = {}
    places: dict[str, str] = {}
    for place, more in parts:
        for name, row in more.items():
            if name in rows:
                raise DataError(
                    f"An utterance named {name} is in {places[name]} and in "
                    f"{place}; leave one of these splits out, or rename its "
                    "utterances."
                )
            rows[name], places[name] = row, place
    return rows


def speech_key(rows: Mapping[str, Any]) -> str:
    """Say which speech this is, so that other speech can be told from it.

    Arguments
    ---------
    rows : mapping
        Utterance to row.

    Returns
    -------
    str
        How many utterances there are, and a checksum of their names, words,
        lengths, and a glance at their audio (wherever it lies). Not of
        labels.

    Example
    -------
    >>> rows = {"a": {"wav": "a.flac", "duration": 1.0, "wrd": "GO"}}
    >>> speech_key(rows) == speech_key({"a": rows["a"] | {"wrd": "STOP"}})
    False
    """
    sha = hashlib.sha256()
    for name, row in sorted(rows.items()):
        said = f"{name} {float(row['duration']):.3f} {row['wrd']} "
        sha.update(said.encode())
        sha.update(_audio_key(row["wav"]))
    return f"{len(rows)} ({sha.hexdigest()[:12]})"


def _audio_key(wav: str) -> bytes:
    # With a ``read`` of its own, a path need not be one.
    return glance(wav) if Path(wav).is_file() else wav.encode()


def with_tokens(rows: Mapping[str, Any], tokenizer: Any, blank: int) -> Rows:
    """Label every utterance with the tokens of its words.

    Arguments
    ---------
    rows : mapping
        Utterance to row.
    tokenizer : SentencePieceProcessor
        Turns words into tokens.
    blank : int
        The id of the CTC blank, which unknown tokens share: no label has it.

    Returns
    -------
    dict
        Utterance to labelled row.

    Raises
    ------
    DataError
        If all words of an utterance are unknown: there is nothing to learn
        from it, and a batch of such cannot be padded.
    """
    labelled = {}
    for name, row in rows.items():
        labels = [t for t in tokenizer.encode(row["wrd"]) if t != blank]
        if not labels:
            raise DataError(
                f"The model has no token for anything in the transcript of "
                f"{name}, {row['wrd']!r}; take that utterance out, or a model "
                "whose tokens are those of this speech."
            )
        labelled[name] = row | {"labels": labels}
    return labelled


def speech_dataset(
    rows: Mapping[str, Any], read: Callable[[str], Tensor] = read_audio
) -> DynamicItemDataset:
    """Make a dataset, the longest utterances first.

    Arguments
    ---------
    rows : mapping
        Utterance to row.
    read : callable
        Path to waveform (samples,).

    Returns
    -------
    DynamicItemDataset
        With ``id``, ``sig``, ``wrd``, and ``tokens`` where there are labels.

    Example
    -------
    >>> row = {"wav": "a.flac", "duration": 1.0, "wrd": "GO", "labels": [1]}
    >>> data = speech_dataset({"a": row}, read=lambda path: torch.zeros(4))
    >>> data[0]["sig"].shape, data[0]["tokens"]
    (torch.Size([4]), tensor([1]))
    """
    labelled = all("labels" in row for row in rows.values())
    # Copies, as the host adds to the rows that it is given.
    dataset = DynamicItemDataset({n: dict(row) for n, row in rows.items()})
    dataset.add_dynamic_item(read, takes="wav", provides="sig")
    keys = ["id", "sig", "wrd"]
    if labelled:
        dataset.add_dynamic_item(
            torch.LongTensor, takes="labels", provides="tokens"
        )
        keys.append("tokens")
    dataset.set_output_keys(keys)
    return dataset.filtered_sorted(sort_key="duration", reverse=True)


def cached_reader() -> Callable[[str], Tensor]:
    """Read audio, and keep what was read in memory.

    Returns
    -------
    callable
        Path to waveform, (samples,). The same path gives the same tensor,
        which must not be changed.
    """
    return functools.cache(read_audio)
