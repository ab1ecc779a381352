"""Reading speech in LibriSpeech's layout, in padded batches::

    DATA/SPLIT/SPEAKER/CHAPTER/SPEAKER-CHAPTER-UTTERANCE.flac (or .wav)
    DATA/SPLIT/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt

Authors
 * The speechbrain-neuronprune authors 2026
"""

import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import soundfile
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from speechbrain_neuronprune.corpus.audio import decode, decoding
from speechbrain_neuronprune.corpus.splits import (
    SHORTEST,
    find_speech,
    transcript_path,
    transcripts,
)
from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.files import PathLike, glance

# Called with samples (time,) or (time, channels) and their rate; gives
# (time,) at the model's rate. ``EncoderASR.audio_normalizer`` is one.
Normalizer = Callable[[Tensor, int], Tensor]

BATCH_SECONDS = 60.0


@dataclass(frozen=True)
class Utterance:
    """One recording and what was said.

    Arguments
    ---------
    name : str
        The file's name without its suffix.
    path : Path
        The audio file.
    words : tuple of str
        The words spoken, in upper case.
    samples : int
        How many there are per channel, as the file's header says.
    rate : int
        Samples per second.
    """

    name: str
    path: Path
    words: tuple[str, ...]
    samples: int
    rate: int

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.samples / self.rate


@dataclass(frozen=True)
class Batch:
    """Utterances that are computed together.

    Arguments
    ---------
    utterances : tuple of Utterance
        In the order of the rows.
    wavs : torch.Tensor
        (utterances, samples), zero behind the end of each.
    lengths : torch.Tensor
        Relative lengths, (utterances,).
    """

    utterances: tuple[Utterance, ...]
    wavs: Tensor
    lengths: Tensor


@dataclass(frozen=True)
class Speech:
    """The utterances of one split, from the shortest to the longest.

    Arguments
    ---------
    name : str
        The split's name.
    utterances : tuple of Utterance
        At least one.
    """

    name: str
    utterances: tuple[Utterance, ...]

    @property
    def seconds(self) -> float:
        """How long all of them are."""
        return sum(one.seconds for one in self.utterances)

    def digest(self) -> str:
        """A checksum of the names, the words, and a glance at the audio.

        Returns
        -------
        str
            Hexadecimal.
        """
        sha = hashlib.sha256()
        for one in self.utterances:
            sha.update(f"{one.name} {' '.join(one.words)}\n".encode())
            sha.update(glance(one.path))
        return sha.hexdigest()

    def sample(self, seconds: float, seed: int = 0) -> "Speech":
        """Draw utterances at random until they last long enough.

        Arguments
        ---------
        seconds : float
            How much speech is enough; all of it if there is less.
        seed : int
            Which draw.

        Returns
        -------
        Speech
            At least one utterance.
        """
        drawn, total = set(), 0.0
        order = list(range(len(self.utterances)))
        for index in random.Random(seed).sample(order, len(order)):
            if total >= seconds and drawn:
                break
            drawn.add(index)
            total += self.utterances[index].seconds
        chosen = (self.utterances[index] for index in sorted(drawn))
        return Speech(self.name, tuple(chosen))

    def batches(
        self, normalize: Normalizer, seconds: float = BATCH_SECONDS
    ) -> Iterator[Batch]:
        """Read the speech, in batches of utterances of similar length.

        Arguments
        ---------
        normalize : callable
            Brings samples to the model's rate and to one channel.
        seconds : float
            Upper limit of the length of a batch, padding included; one
            utterance may be longer.

        Yields
        ------
        Batch
            From the shortest utterances to the longest.

        Raises
        ------
        DataError
            If a file cannot be decoded to its end.
        """
        for rows in self._rows(seconds):
            wavs = [normalize(*load_audio(one.path)) for one in rows]
            longest = max(len(wav) for wav in wavs)
            lengths = torch.tensor([len(wav) / longest for wav in wavs])
            yield Batch(tuple(rows), pad_sequence(wavs, True), lengths)

    def _rows(self, seconds: float) -> Iterator[list[Utterance]]:
        rows: list[Utterance] = []
        for one in self.utterances:
            # The next one is the longest so far: all are padded to it.
            if rows and (len(rows) + 1) * one.seconds > seconds:
                yield rows
                rows = []
            rows.append(one)
        if rows:
            yield rows


def read_speech(
    data_folder: PathLike, split: str, labelled: bool = True
) -> Speech:
    """Find the utterances of a split, without decoding them.

    Arguments
    ---------
    data_folder : path-like
        The corpus folder.
    split : str
        Name of the split's folder in it; a path to any other folder in this
        layout does as well.
    labelled : bool
        Whether to read the transcripts; otherwise no utterance has words.

    Returns
    -------
    Speech
        The split.

    Raises
    ------
    DataError
        If the folder is missing, holds no speech, or an utterance has no
        transcript or no readable header.

    Example
    -------
    >>> import numpy as np
    >>> from speechbrain_neuronprune.corpus.layout import write_chapter
    >>> data = getfixture("tmp_path")
    >>> noise = np.random.default_rng(0).integers(-99, 99, 8000, np.int16)
    >>> write_chapter(data / "dev", 1, 1, [(noise, "go on"), (noise, "stop")])
    >>> speech = read_speech(data, "dev")
    >>> [one.words for one in speech.utterances], speech.seconds
    ([('GO', 'ON'), ('STOP',)], 1.0)
    """
    folder = Path(data_folder, split)
    if not folder.is_dir():
        raise DataError(_missing(folder))
    audio = find_speech(folder)
    texts = None
    if labelled:
        texts = {name: text for _, name, text in transcripts(folder)}
    utterances = [_utterance(path, texts) for path in audio]
    utterances.sort(key=lambda one: (one.seconds, one.name))
    return Speech(str(split), tuple(utterances))


def load_audio(path: Path) -> tuple[Tensor, int]:
    """Decode a recording to its end.

    Arguments
    ---------
    path : Path
        The audio file.

    Returns
    -------
    torch.Tensor
        (samples,), or (samples, channels) if there are several channels.
    int
        Their sampling rate in hertz.

    Raises
    ------
    DataError
        If the file is damaged or ends too early.
    """
    samples, rate = decode(path, "float32")
    return torch.from_numpy(samples), rate


def _utterance(path: Path, texts: dict[str, str] | None) -> Utterance:
    words = [] if texts is None else texts.get(path.stem, "").split()
    if texts is not None and not words:
        raise DataError(
            f"The utterance {path} has no transcript; add a line to "
            f"{transcript_path(path)} or remove the audio."
        )
    with decoding(path):
        header = soundfile.info(path)
    if header.frames < SHORTEST * header.samplerate:
        raise DataError(
            f"The audio file {path} has only {header.frames} samples, less "
            f"than the {1000 * SHORTEST:g} ms of a frame; copy it again or "
            "remove the utterance."
        )
    return Utterance(
        path.stem, path, tuple(words), header.frames, header.samplerate
    )


def _missing(folder: Path) -> str:
    if not folder.parent.is_dir():
        return (
            f"The data folder {folder.parent} does not exist; give a folder in "
            "LibriSpeech's layout."
        )
    there = sorted(p.name for p in folder.parent.iterdir() if p.is_dir())
    return (
        f"The data folder {folder.parent} has no split {folder.name}; it has: "
        f"{', '.join(there) or 'none'}."
    )
