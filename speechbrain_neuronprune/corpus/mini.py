"""The embedded corpus: commands spoken by eSpeak NG in many voices.

Speakers of different splits are disjoint, and no sentence is said twice, so a
recogniser cannot pass the test by memory. Text, speakers, levels and noise
follow from the seed alone. The bytes also follow from the versions of eSpeak
NG and of libFLAC, and from the platform as far as their arithmetic does.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
from tqdm import tqdm

from speechbrain_neuronprune.command import run_command
from speechbrain_neuronprune.corpus.grammar import draw_sentences
from speechbrain_neuronprune.corpus.layout import corpus_folder, write_chapter
from speechbrain_neuronprune.corpus.manifest import (
    holds,
    read_manifest,
    write_manifest,
)
from speechbrain_neuronprune.corpus.speakers import Speaker, draw_speakers
from speechbrain_neuronprune.corpus.synthesis import SAMPLE_RATE, synthesize
from speechbrain_neuronprune.files import PathLike

FORMAT = 1  # to be raised with every change that is heard or read


class Split(NamedTuple):
    """How much there is of a split."""

    speakers: int
    utterances_per_speaker: int


FULL = {
    "train-clean": Split(60, 24),
    "dev-clean": Split(8, 15),
    "test-clean": Split(12, 15),
}
SMALL = {
    "train-clean": Split(4, 6),
    "dev-clean": Split(2, 3),
    "test-clean": Split(2, 3),
}


class Reading(NamedTuple):
    """What one speaker reads in one split."""

    split: str
    speaker: Speaker
    sentences: list[str]


def make_mini_corpus(
    out_dir: PathLike, small: bool = False, seed: int = 0
) -> Path:
    """Make the embedded corpus, or find it made.

    Arguments
    ---------
    out_dir : path-like
        The corpus folder; the splits "train-clean", "dev-clean" and
        "test-clean" come right below it.
    small : bool
        Whether to make a corpus of a minute, for tests.
    seed : int
        Another seed gives other sentences, speakers, levels and noise.

    Returns
    -------
    Path
        The corpus folder, as an absolute path.

    Example
    -------
    >>> folder = getfixture("tmp_path") / "mini"
    >>> corpus = make_mini_corpus(folder, small=True)  # doctest: +SKIP
    >>> sorted(path.name for path in corpus.iterdir())  # doctest: +SKIP
    ['SPEAKERS.TXT', 'dev-clean', 'manifest.json', 'test-clean', 'train-clean']
    """
    out_dir = Path(out_dir).resolve()
    request = {"format": FORMAT, "seed": seed, "small": small}
    if not holds(out_dir, request):
        rng = np.random.RandomState(seed)
        readings = plan_readings(SMALL if small else FULL, rng)
        with corpus_folder(out_dir) as folder:
            hours = _record(folder, readings, rng)
            _write_speakers(folder, readings)
            content = request | _describe(folder, readings, hours)
            write_manifest(folder, content)
    return out_dir


def plan_readings(
    splits: dict[str, Split], rng: np.random.RandomState
) -> list[Reading]:
    """Draw who says what.

    Arguments
    ---------
    splits : dict
        How much there is of every split.
    rng : np.random.RandomState
        Where the draws come from.

    Returns
    -------
    list
        One reading for every speaker.

    Example
    -------
    >>> readings = plan_readings(SMALL, np.random.RandomState(0))
    >>> [len(reading.sentences) for reading in readings]
    [6, 6, 6, 6, 3, 3, 3, 3]
    """
    sizes = [
        (name, split.utterances_per_speaker)
        for name, split in splits.items()
        for _ in range(split.speakers)
    ]
    speakers = draw_speakers(len(sizes), rng)
    sentences = iter(draw_sentences(sum(size for _, size in sizes), rng))
    return [
        Reading(name, speaker, list(islice(sentences, size)))
        for (name, size), speaker in zip(sizes, speakers, strict=True)
    ]


def add_room(speech: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Put speech in a quiet room: silence around it, a level, faint noise.

    Arguments
    ---------
    speech : np.ndarray
        Samples within -1 to 1, at 16 kHz.
    rng : np.random.RandomState
        Where the draws come from.

    Returns
    -------
    np.ndarray
        The int16 samples.

    Example
    -------
    >>> tone = np.sin(np.arange(16000) / 5)
    >>> add_room(tone, np.random.RandomState(0)).dtype
    dtype('int16')
    """
    before, after = rng.randint(SAMPLE_RATE // 20, SAMPLE_RATE // 5, size=2)
    level, signal_to_noise = rng.uniform(-32, -22), rng.uniform(30, 45)
    gain = 10 ** (level / 20) / speech.std()
    gain = min(gain, 0.95 / np.abs(speech).max())  # never clip
    samples = np.pad(gain * speech, (before, after))
    noise = gain * speech.std() * 10 ** (-signal_to_noise / 20)
    samples += noise * rng.standard_normal(len(samples))
    return np.clip(np.rint(32768 * samples), -32768, 32767).astype(np.int16)


def _record(
    folder: Path, readings: list[Reading], rng: np.random.RandomState
) -> dict[str, float]:
    """Write all speech and transcripts; return the hours of every split."""
    lines = [
        (reading.speaker.voice, sentence)
        for reading in readings
        for sentence in reading.sentences
    ]
    hours: dict[str, float] = {}
    bar = tqdm(desc="Speaking", total=len(lines), unit="utt", disable=None)
    with bar, closing(synthesize(lines)) as speech:
        for split, speaker, sentences in readings:
            utterances = [(add_room(next(speech), rng), s) for s in sentences]
            write_chapter(folder / split, speaker.number, 1, utterances)
            seconds = sum(len(s) for s, _ in utterances) / SAMPLE_RATE
            hours[split] = hours.get(split, 0.0) + seconds / 3600
            bar.update(len(sentences))
    return hours


def _write_speakers(folder: Path, readings: list[Reading]) -> None:
    lines = ["; NUMBER | SPLIT | ACCENT | VARIANT | PITCH | WORDS PER MINUTE"]
    lines += [
        " | ".join(map(str, (speaker.number, split, *speaker.voice)))
        for split, speaker, _ in readings
    ]
    path = folder / "SPEAKERS.TXT"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _describe(
    folder: Path, readings: list[Reading], hours: dict[str, float]
) -> dict[str, Any]:
    splits = {
        split: {
            "speakers": sum(name == split for name, *_ in readings),
            "utterances": len(list((folder / split).rglob("*.flac"))),
            "hours": round(hours[split], 4),
        }
        for split in hours
    }
    made_with = {
        "espeakng-loader": metadata.version("espeakng-loader"),
        "libsndfile": soundfile.__libsndfile_version__,
    }
    return {"splits": splits, "made_with": made_with}


def _summary(folder: Path) -> Iterator[str]:
    manifest = read_manifest(folder)
    yield f"The corpus is in {folder}"
    for name, split in manifest["splits"].items():
        yield (
            f"  {name:12} {split['utterances']:5} utterances, "
            f"{split['speakers']:3} speakers, {60 * split['hours']:5.1f} min"
        )


def main(arguments: list[str] | None = None) -> int:
    """Run ``neuronprune-mini OUT_DIR [--small] [--seed N]``.

    Arguments
    ---------
    arguments : list, optional
        The words of the command line; by default those of this process.

    Returns
    -------
    int
        The exit status.
    """
    parser = argparse.ArgumentParser(
        "neuronprune-mini",
        description="Make a small corpus of spoken commands with eSpeak NG, "
        "in LibriSpeech's layout.",
    )
    parser.add_argument("out_dir", help="the corpus folder to make")
    parser.add_argument(
        "--small", action="store_true", help="only a minute, for a quick test"
    )
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    options = parser.parse_args(arguments)
    return run_command(
        lambda: _summary(
            make_mini_corpus(options.out_dir, options.small, options.seed)
        )
    )


if __name__ == "__main__":
    sys.exit(main())
