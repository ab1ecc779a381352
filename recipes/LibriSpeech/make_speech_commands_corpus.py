"""Make a corpus of strings of words from Speech Commands.

The recordings of single words are trimmed, and three to seven by one speaker
are joined with short, faintly noisy gaps. The result has LibriSpeech's layout
and splits (train, dev, test) without common speakers, so that the recipes
train on real speech within minutes.

Get the recordings (2.3 GB; Pete Warden, CC BY 4.0) and make the corpus:

    wget http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz
    mkdir speech_commands && tar xzf speech_commands_v0.02.tar.gz \\
        -C speech_commands
    python make_speech_commands_corpus.py speech_commands Words

The corpus of our figures was made in this way from 5,000 recordings of 478
speakers. Of these, strings of words got 637 utterances of 284 speakers
(train), 66 of 30 (dev) and 106 of 40 (test). Exact figures depend on the
recordings used: those of the download differ, and so will error rates,
slightly.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
import itertools
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from speechbrain_neuronprune.corpus.layout import corpus_folder, write_chapter
from speechbrain_neuronprune.errors import DataError, NeuronPruneError
from speechbrain_neuronprune.files import PathLike

WORDS = "down eight five go left one right up zero".split()
SAMPLE_RATE = 16_000
FIRST_SPEAKER = 20_001

FRAME = SAMPLE_RATE // 100  # 10 ms
MARGIN = 3  # frames kept on both sides of a word
SHORTEST_WORD = 10  # frames
SPEECH_TO_SILENCE = 10 ** (-30 / 20)  # of the loudest frame's level
SILENT = 1e-3  # a recording whose loudest frame is below is a failed one

SHORTEST_GAP, LONGEST_GAP = 0.030, 0.180  # seconds
GAP_NOISE = 5e-4
FEWEST_WORDS, MOST_WORDS = 3, 7

# The speakers' recordings, sorted: from a speaker's hash to paths.
Recordings = dict[str, list[Path]]


def make_speech_commands_corpus(
    source: PathLike,
    out_dir: PathLike,
    words: Sequence[str] = WORDS,
    recordings: int = 5000,
    dev: float = 0.085,
    test: float = 0.113,
    seed: int = 0,
) -> None:
    """Make the corpus.

    Arguments
    ---------
    source : path-like
        The unpacked download, with WORD/HASH_nohash_NUMBER.wav below it.
    out_dir : path-like
        The corpus folder to make.
    words : sequence of str
        Which words to use.
    recordings : int
        How many recordings to use, about; 0 for all there are.
    dev : float
        Which share of the speakers goes to the split dev.
    test : float
        Which share of the speakers goes to the split test.
    seed : int
        Another seed gives other splits and other strings.
    """
    rng = np.random.RandomState(seed)
    speakers = find_recordings(Path(source), words)
    speakers = choose_speakers(speakers, recordings, rng)
    splits = split_speakers(list(speakers), dev, test)
    numbers = itertools.count(FIRST_SPEAKER)
    with corpus_folder(out_dir) as folder:
        for split, hashes in splits.items():
            for speaker in tqdm(hashes, split, unit="speaker", disable=None):
                utterances = list(join_words(speakers[speaker], rng))
                if utterances:
                    write_chapter(folder / split, next(numbers), 1, utterances)
            if not (folder / split).exists():
                raise DataError(
                    f"None of the {len(hashes)} speaker(s) of the split "
                    f"{split} has two audible recordings; use more recordings."
                )


def find_recordings(source: Path, words: Sequence[str]) -> Recordings:
    """List the recordings of some words by speaker.

    Arguments
    ---------
    source : Path
        The unpacked download.
    words : sequence of str
        The words.

    Returns
    -------
    dict
        From each speaker's hash to the recordings, both sorted.
    """
    if not source.is_dir():
        raise DataError(
            f"The folder {source} does not exist; unpack Speech Commands there."
        )
    there = sorted(path.name for path in source.iterdir() if path.is_dir())
    speakers = defaultdict(list)
    for word in words:
        paths = sorted((source / word).glob("*_nohash_*.wav"))
        if not paths:
            raise DataError(
                f"The folder {source} has no recordings of the word {word!r} "
                f"({word}/HASH_nohash_NUMBER.wav); its folders are: "
                f"{', '.join(there) or 'none'}."
            )
        for path in paths:
            speakers[path.name.split("_nohash_")[0]].append(path)
    return dict(sorted(speakers.items()))


def choose_speakers(
    speakers: Recordings, recordings: int, rng: np.random.RandomState
) -> Recordings:
    """Put the speakers in random order and keep as many as it takes.

    Speakers of a single recording are left out.

    Arguments
    ---------
    speakers : dict
        All speakers' recordings.
    recordings : int
        How many recordings the chosen speakers have, at least; 0 for all.
    rng : np.random.RandomState
        Where the draws come from.

    Returns
    -------
    dict
        The chosen speakers' recordings, each list in random order.
    """
    chosen: Recordings = {}
    hashes = [name for name, paths in speakers.items() if len(paths) >= 2]
    for index in rng.permutation(len(hashes)):
        if recordings and sum(map(len, chosen.values())) >= recordings:
            break
        paths = speakers[hashes[index]]
        chosen[hashes[index]] = [paths[i] for i in rng.permutation(len(paths))]
    return chosen


def split_speakers(
    speakers: list[str], dev: float, test: float
) -> dict[str, list[str]]:
    """Cut a list of speakers into train, dev and test.

    Arguments
    ---------
    speakers : list
        The speakers, in random order.
    dev : float
        The share of dev.
    test : float
        The share of test.

    Returns
    -------
    dict
        The speakers of each split.

    Example
    -------
    >>> split_speakers(list("abcdefghij"), dev=0.1, test=0.2)["test"]
    ['b', 'c']
    """
    sizes = round(dev * len(speakers)), round(test * len(speakers))
    if min(dev, test) <= 0 or dev + test >= 1:
        raise DataError(
            f"The shares {dev} (dev) and {test} (test) leave a split without "
            "speakers; both must be above 0 and their sum below 1."
        )
    if min(*sizes, len(speakers) - sum(sizes)) < 1:
        raise DataError(
            f"{len(speakers)} speaker(s) are too few for the shares {dev} "
            f"(dev) and {test} (test); use more recordings or larger shares."
        )
    first, second = sizes[0], sum(sizes)
    return {
        "train": speakers[second:],
        "dev": speakers[:first],
        "test": speakers[first:second],
    }


def join_words(
    paths: list[Path], rng: np.random.RandomState
) -> Iterator[tuple[np.ndarray, str]]:
    """Join a speaker's recordings to strings, each recording in one string.

    Arguments
    ---------
    paths : list
        The recordings. Silent ones are left out.
    rng : np.random.RandomState
        Where the draws come from.

    Yields
    ------
    (np.ndarray, str)
        The int16 samples and the words of an utterance.
    """
    trimmed = [(trim(read(path)), path.parent.name) for path in paths]
    spoken = [(word, text) for word, text in trimmed if word is not None]
    for first, last in cut(len(spoken), rng):
        pieces = [make_gap(rng)]
        for word, _ in spoken[first:last]:
            pieces += [word, make_gap(rng)]
        samples = np.clip(np.concatenate(pieces), -1, 32767 / 32768)
        text = " ".join(text for _, text in spoken[first:last])
        yield np.rint(32768 * samples).astype(np.int16), text


def cut(count: int, rng: np.random.RandomState) -> Iterator[tuple[int, int]]:
    """Cut a row of words into strings of three to seven.

    The last string may have two (so may the only one), or eight, to leave no
    single word over. A single word is left out.

    Arguments
    ---------
    count : int
        The number of words.
    rng : np.random.RandomState
        Where the draws come from.

    Yields
    ------
    (int, int)
        The first word of a string and the one after its last.

    Example
    -------
    >>> list(cut(4, np.random.RandomState(0)))
    [(0, 4)]
    """
    first = 0
    while count - first >= 2:
        last = first + rng.randint(FEWEST_WORDS, MOST_WORDS + 1)
        if last + 1 >= count:
            last = count
        yield first, last
        first = last


def read(path: Path) -> np.ndarray:
    """Read a recording.

    Arguments
    ---------
    path : Path
        A wav file.

    Returns
    -------
    np.ndarray
        Its samples, within -1 to 1.
    """
    try:
        samples, rate = soundfile.read(path)
    except (OSError, soundfile.LibsndfileError) as error:
        raise DataError(
            f"The recording {path} cannot be decoded ({error}); unpack the "
            "download again."
        ) from error
    if rate != SAMPLE_RATE or samples.ndim != 1:
        raise DataError(
            f"The recording {path} is not mono at {SAMPLE_RATE} Hz (it is at "
            f"{rate} Hz); use Speech Commands as it is distributed."
        )
    return samples


def trim(samples: np.ndarray) -> np.ndarray | None:
    """Cut the silence before and after a word.

    Arguments
    ---------
    samples : np.ndarray
        A recording.

    Returns
    -------
    np.ndarray or None
        The word with a margin of 30 ms, or None if there is no word.

    Example
    -------
    >>> silence, tone = np.zeros(4800), np.sin(np.arange(6400))
    >>> len(trim(np.concatenate([silence, tone, silence])))
    7360
    """
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    levels = frames.std(axis=1)
    if levels.max(initial=0) < SILENT:
        return None
    loud = np.flatnonzero(levels > SPEECH_TO_SILENCE * levels.max())
    if loud[-1] - loud[0] < SHORTEST_WORD:
        return None
    start = max(loud[0] - MARGIN, 0)
    return samples[start * FRAME : (loud[-1] + 1 + MARGIN) * FRAME]


def make_gap(rng: np.random.RandomState) -> np.ndarray:
    """Return 30 to 180 ms of faint noise.

    Arguments
    ---------
    rng : np.random.RandomState
        Where the draws come from.

    Returns
    -------
    np.ndarray
        The samples.
    """
    seconds = rng.uniform(SHORTEST_GAP, LONGEST_GAP)
    return GAP_NOISE * rng.standard_normal(round(seconds * SAMPLE_RATE))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Arguments
    ---------
    arguments : list, optional
        Its words; by default those of this process.

    Returns
    -------
    int
        The exit status.
    """
    parser = argparse.ArgumentParser(
        description="Make a corpus of strings of words from Speech Commands."
    )
    add = parser.add_argument
    add("source", help="the folder of the unpacked download")
    add("out_dir", help="the corpus folder to make")
    add("--words", nargs="+", default=WORDS, help="default: %(default)s")
    add(
        "--recordings",
        type=int,
        default=5000,
        help="how many to use, about; 0 for all (default: %(default)s)",
    )
    add("--dev", type=float, default=0.085, help="share of the speakers")
    add("--test", type=float, default=0.113, help="share of the speakers")
    add("--seed", type=int, default=0, help="default: %(default)s")
    try:
        make_speech_commands_corpus(**vars(parser.parse_args(arguments)))
    except NeuronPruneError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
