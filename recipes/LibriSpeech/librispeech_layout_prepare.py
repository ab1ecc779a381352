"""Data preparation for any folder in LibriSpeech's layout.

    DATA/SPLIT/SPEAKER/CHAPTER/SPEAKER-CHAPTER-UTTERANCE.flac (or .wav)
    DATA/SPLIT/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt

Download LibriSpeech itself from https://www.openslr.org/12; make a corpus of
a few minutes with ``neuronprune-mini``.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import csv
import hashlib
import json
import os
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import soundfile
from speechbrain.utils.logger import get_logger
from tqdm import tqdm

from speechbrain_neuronprune.corpus.splits import (
    SHORTEST,
    find_speech,
    split_files,
    transcript_path,
    transcripts,
)
from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.files import PathLike, atomic_path, write_json

logger = get_logger(__name__)

SAMPLE_RATE = 16_000
BLOCK = 60 * SAMPLE_RATE  # how much is decoded at a time
UNKNOWN_LENGTH = 0xFFFFFFFF  # in the header of a wav that was streamed
FINGERPRINT = "librispeech_layout_prepare.json"


class Utterance(NamedTuple):
    """One row of a csv file; the names are those of its columns."""

    ID: str
    duration: float
    wav: str
    spk_id: str
    wrd: str


def prepare_librispeech_layout(
    data_folder: PathLike,
    save_folder: PathLike,
    tr_splits: Sequence[str] = (),
    dev_splits: Sequence[str] = (),
    te_splits: Sequence[str] = (),
    merge_name: str = "train.csv",
    skip_prep: bool = False,
    unlabelled_splits: Sequence[str] = (),
) -> None:
    """Write SPLIT.csv for every split, and one csv of all training splits.

    Nothing is written unless every utterance of every split is sound. Nothing
    is done if the files are up to date.

    Arguments
    ---------
    data_folder : path-like
        The corpus folder, with the splits right below it.
    save_folder : path-like
        Where to write the csv files.
    tr_splits : sequence of str
        Names of the training splits, for instance ["train-clean-100"].
    dev_splits : sequence of str
        Names of the validation splits.
    te_splits : sequence of str
        Names of the test splits.
    merge_name : str
        Name of the csv file that holds all training splits.
    skip_prep : bool
        Whether to do nothing at all.
    unlabelled_splits : sequence of str
        Names of splits of which only the speech is read; transcripts, if
        there are any, are not.

    Example
    -------
    >>> prepare_librispeech_layout(  # doctest: +SKIP
    ...     "/data/LibriSpeech", "results/csv", ["train-clean-100"]
    ... )
    """
    if skip_prep:
        return
    data_folder = Path(data_folder).absolute()
    labelled = list(dict.fromkeys([*tr_splits, *dev_splits, *te_splits]))
    splits = list(dict.fromkeys([*labelled, *unlabelled_splits]))
    _check_splits(data_folder, splits)
    _check_labels(labelled, unlabelled_splits)
    _check_merge_name(merge_name, tr_splits, splits)
    save_folder = Path(save_folder)
    fingerprint = {
        "data_folder": str(data_folder),
        "splits": splits,
        "unlabelled": list(unlabelled_splits),
        "merged": {merge_name: list(tr_splits)},
        "listing": _listing(data_folder, splits),
    }
    if _up_to_date(save_folder, fingerprint):
        logger.info("%s is up to date; preparation skipped.", save_folder)
        return
    rows = {
        split: read_split(data_folder / split, labelled=split in labelled)
        for split in splits
    }
    tables = {f"{split}.csv": rows[split] for split in splits}
    if tr_splits:
        tables[merge_name] = [row for name in tr_splits for row in rows[name]]
    _check_names(tables)
    _write(save_folder, tables, fingerprint)


def read_split(folder: Path, labelled: bool = True) -> list[Utterance]:
    """Read a split: decode all of its speech, pair it with its transcripts.

    Arguments
    ---------
    folder : Path
        The split's folder.
    labelled : bool
        Whether to read the transcripts; otherwise they are empty.

    Returns
    -------
    list
        Its utterances, sorted by path.
    """
    audio = find_speech(folder)
    texts = {path.stem: "" for path in audio}
    if labelled:
        texts = read_transcripts(folder)
        _match(folder, audio, texts)
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        seconds = list(
            tqdm(
                pool.map(measure_duration, audio),
                f"Reading {folder.name}",
                len(audio),
                unit="utt",
                disable=None,
            )
        )
    finally:
        pool.shutdown(cancel_futures=True)
    return [
        Utterance(p.stem, length, str(p), p.parent.parent.name, texts[p.stem])
        for p, length in zip(audio, seconds, strict=True)
    ]


def read_transcripts(folder: Path) -> dict[str, str]:
    """Read all transcripts of a split.

    Arguments
    ---------
    folder : Path
        The split's folder.

    Returns
    -------
    dict
        From each utterance's name to its text, in upper case.
    """
    texts = {}
    for path, name, text in transcripts(folder):
        if not text:
            raise DataError(
                f"The transcript of {name} in {path} is empty; write its words "
                "there or remove the utterance."
            )
        texts[name] = text
    return texts


def measure_duration(path: Path) -> float:
    """Decode a file to its end and return its length.

    Arguments
    ---------
    path : Path
        A flac or wav file.

    Returns
    -------
    float
        Its length in seconds.
    """
    try:
        with soundfile.SoundFile(path) as file:
            frames = sum(len(block) for block in file.blocks(BLOCK))
            promised, rate, channels = len(file), file.samplerate, file.channels
    except (OSError, soundfile.LibsndfileError) as error:
        raise DataError(
            f"The audio file {path} cannot be decoded ({error}); download it "
            "again or remove the utterance."
        ) from error
    if frames == 0 or frames < promised or _wav_is_cut(path):
        raise DataError(
            f"The audio file {path} is empty or truncated: it ends after "
            f"{frames} samples; download it again or remove the utterance."
        )
    if frames < SHORTEST * rate:
        raise DataError(
            f"The audio file {path} has only {frames} samples, less than the "
            f"{1000 * SHORTEST:g} ms of a frame; remove the utterance."
        )
    if rate != SAMPLE_RATE or channels != 1:
        raise DataError(
            f"The audio file {path} has {channels} channel(s) at {rate} Hz, "
            f"but 1 channel at {SAMPLE_RATE} Hz (16 kHz) is expected; convert "
            f"it, for instance with: sox IN -r {SAMPLE_RATE} -c 1 OUT"
        )
    return frames / rate


def _wav_is_cut(path: Path) -> bool:
    """Tell whether a wav is shorter than it says; libsndfile would not."""
    with open(path, "rb") as file:
        header = file.read(8)
    if header[:4] != b"RIFF":
        return False
    [size] = struct.unpack("<I", header[4:])
    return size != UNKNOWN_LENGTH and path.stat().st_size < size + 8


def _match(folder: Path, audio: list[Path], texts: dict[str, str]) -> None:
    silent = [path for path in audio if path.stem not in texts]
    if silent:
        raise DataError(
            f"{len(silent)} utterance(s) of {folder} have no transcript, the "
            f"first is {silent[0]}; add a line to {transcript_path(silent[0])}"
            " or remove the audio."
        )
    unheard = sorted(texts.keys() - {path.stem for path in audio})
    if unheard:
        logger.warning(
            "%d transcript(s) of %s have no audio and are left out, the "
            "first is %s.",
            len(unheard),
            folder,
            unheard[0],
        )


def _check_splits(data_folder: Path, splits: list[str]) -> None:
    if not data_folder.is_dir():
        raise DataError(
            f"The data folder {data_folder} does not exist; give the "
            "folder of a corpus in LibriSpeech's layout."
        )
    there = sorted(path.name for path in data_folder.iterdir() if path.is_dir())
    if not there:
        raise DataError(
            f"The data folder {data_folder} is empty; it must hold splits "
            "such as train-clean-100; give the folder of a corpus in "
            "LibriSpeech's layout."
        )
    if not splits:
        raise DataError(
            f"No split is named; choose among those of {data_folder}: "
            f"{', '.join(there)}."
        )
    for split in splits:
        if split not in there:
            raise DataError(
                f"The data folder {data_folder} has no split {split}; it has: "
                f"{', '.join(there)}."
            )


def _check_labels(labelled: Sequence[str], unlabelled: Sequence[str]) -> None:
    both = sorted(set(labelled) & set(unlabelled))
    if both:
        raise DataError(
            f"The split {both[0]} is to be read with and without its "
            "transcripts; adapt on one split and test on another."
        )


def _check_merge_name(
    merge_name: str, tr_splits: Sequence[str], splits: list[str]
) -> None:
    split = merge_name.removesuffix(".csv")
    if tr_splits and split in splits and list(tr_splits) != [split]:
        raise DataError(
            f"The csv file {merge_name} of all training splits would replace "
            f"that of the split {split}; choose another merge_name."
        )


def _check_names(tables: dict[str, list[Utterance]]) -> None:
    for name, rows in tables.items():
        seen: dict[str, str] = {}
        for row in rows:
            if seen.setdefault(row.ID, row.wav) != row.wav:
                raise DataError(
                    f"Two utterances for {name} are named {row.ID}: "
                    f"{seen[row.ID]} and {row.wav}; rename or remove one."
                )


def _listing(data_folder: Path, splits: list[str]) -> str:
    """Return a checksum of the names, sizes and times of all files."""
    digest = hashlib.sha256()
    for split in splits:
        for path in split_files(data_folder / split):
            status = path.stat()
            name = path.relative_to(data_folder)
            digest.update(
                f"{name} {status.st_size} {status.st_mtime_ns}\n".encode()
            )
    return digest.hexdigest()


def _up_to_date(save_folder: Path, fingerprint: dict[str, Any]) -> bool:
    try:
        text = (save_folder / FINGERPRINT).read_text(encoding="utf-8")
        saved = json.loads(text)
        checksums = saved.pop("csv")
        return saved == fingerprint and all(
            _checksum(save_folder / name) == checksum
            for name, checksum in checksums.items()
        )
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return False


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write(
    save_folder: Path,
    tables: dict[str, list[Utterance]],
    fingerprint: dict[str, Any],
) -> None:
    try:
        for name, rows in tables.items():
            with atomic_path(save_folder / name) as path:
                with open(path, "w", newline="", encoding="utf-8") as file:
                    writer = csv.writer(file)
                    writer.writerow(Utterance._fields)
                    writer.writerows(rows)
        checksums = {name: _checksum(save_folder / name) for name in tables}
        content = fingerprint | {"csv": checksums}
        write_json(save_folder / FINGERPRINT, content)
    except OSError as error:
        raise DataError(
            f"Cannot write the csv files to {save_folder} ({error}); set "
            "save_folder to a folder that you may write to."
        ) from error
