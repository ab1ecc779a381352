"""Datasets of speech, labelled or not, out of rows.

A row holds what a manifest says of an utterance: ``wav`` (a path),
``duration`` (seconds), ``wrd`` (its words, or nothing), and once it is
labelled ``labels`` (token ids).

Authors
 * The speechbrain-neuronprune authors 2026
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from speechbrain.dataio.dataio import load_data_csv, read_audio
from speechbrain.dataio.dataset import DynamicItemDataset
from torch import Tensor

from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.files import PathLike

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
    """
    rows: Rows = {}
    for manifest in manifests:
        rows |= load_data_csv(str(manifest))
    return rows


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
    """Read audio, and keep what was read in memory."""
    return functools.cache(read_audio)
