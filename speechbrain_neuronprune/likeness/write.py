"""Writing labelled speech that sounds like an unlabelled domain.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import soundfile
from tqdm import tqdm

from speechbrain_neuronprune.command import run_command
from speechbrain_neuronprune.corpus.audio import write_audio
from speechbrain_neuronprune.corpus.layout import corpus_folder
from speechbrain_neuronprune.corpus.manifest import (
    digest,
    holds,
    read_manifest,
    write_manifest,
)
from speechbrain_neuronprune.corpus.splits import (
    find_speech,
    transcript_files,
    transcript_path,
    transcripts,
)
from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.files import PathLike
from speechbrain_neuronprune.likeness.listening import read_at
from speechbrain_neuronprune.likeness.sound import Sound, estimate_sound
from speechbrain_neuronprune.randomness import random_for

FORMAT = 1  # to be raised with every change that is heard or read


class Utterance(NamedTuple):
    """A labelled utterance of home."""

    audio: Path
    text: str


def write_alike(
    home: PathLike,
    target: PathLike,
    output: PathLike,
    copies: int = 2,
    seed: int = 0,
) -> Path:
    """Write copies of labelled speech that sound like a domain; or find them
    written.

    What happens to an utterance depends on the domain's sound, its own name,
    the copy's number and the seed, not on other utterances. The copies' names
    differ from each other and from those of home, so one manifest can hold
    all.

    Arguments
    ---------
    home : path-like
        The folder of a labelled split in LibriSpeech's layout. Utterances
        without a transcript are left out.
    target : path-like
        The folder of a split of the new domain; transcripts are not read.
    output : path-like
        The folder to write, a split in the same layout: the chapters of copy
        1 of 1234/5 are 1234/51 and so on.
    copies : int
        How often every utterance is altered, every time otherwise.
    seed : int
        Another seed gives other noise, and perhaps another estimate.

    Returns
    -------
    Path
        The output folder, as an absolute path.

    Raises
    ------
    DataError
        If there is no labelled or no new speech, sampling rates differ, a
        file cannot be read, or the output holds or lies in something else.
    """
    home, target, output = (
        Path(folder).resolve() for folder in (home, target, output)
    )
    _check(home, target, output, copies)
    speech, new = _labelled(home), find_speech(target)
    sources = [one.audio for one in speech] + transcript_files(home)
    request = {
        "format": FORMAT,
        "copies": copies,
        "seed": seed,
        "home": digest(home, sources),
        "target": digest(target, new),
    }
    if not holds(output, request):
        with corpus_folder(output) as folder:
            sound = estimate_sound([one.audio for one in speech], new, seed)
            seconds = _write(folder, speech, sound, copies, seed)
            found = {"sound": sound.figures(), "description": sound.describe()}
            size = {
                "utterances": copies * len(speech),
                "hours": round(seconds / 3600, 4),
                "made_with": {"libsndfile": soundfile.__libsndfile_version__},
            }
            write_manifest(folder, request | found | size)
    return output


# ----------------------------------------------------------------- reading


def _check(home: Path, target: Path, output: Path, copies: int) -> None:
    for source in (home, target):
        if output.is_relative_to(source):
            raise DataError(
                f"The output {output} lies in {source}, whose speech it would "
                "become; name a folder elsewhere."
            )
    if copies < 1:
        raise DataError(
            f"There cannot be {copies} copies of every utterance; ask for 1 "
            "or more."
        )


def _labelled(home: Path) -> list[Utterance]:
    """The utterances of home that have both speech and words."""
    audio = {(path.parent, path.stem): path for path in find_speech(home)}
    found = [
        Utterance(audio[path.parent, name], text)
        for path, name, text in transcripts(home)
        if text and (path.parent, name) in audio
    ]
    if not found:
        raise DataError(
            f"No utterance of the split {home} has a transcript; copies of "
            "unlabelled speech would teach nothing. They belong in "
            f"{home.name}/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt."
        )
    return found


# ----------------------------------------------------------------- writing


def _write(
    folder: Path,
    speech: Sequence[Utterance],
    sound: Sound,
    copies: int,
    seed: int,
) -> float:
    """Write all copies; return how many seconds they last."""
    seconds = 0.0
    digits = _digits(speech, copies)
    for one in tqdm(speech, "Writing copies", unit="utt", disable=None):
        samples = read_at(one.audio, sound.rate)
        for copy in range(1, copies + 1):
            path = folder / _name(one.audio, f"{copy:0{digits}}")
            path.parent.mkdir(parents=True, exist_ok=True)
            rng = random_for(seed, "alike", copy, one.audio.stem)
            write_audio(path, sound.alter(samples, rng), sound.rate)
            with open(transcript_path(path), "a", encoding="utf-8") as file:
                file.write(f"{path.stem} {one.text}\n")
            seconds += len(samples) / sound.rate
    return seconds


def _digits(speech: Sequence[Utterance], copies: int) -> int:
    """How long a chapter's suffix must be, so that no copy's chapter can be
    another one, of home or of a copy."""
    chapters = (len(one.audio.parent.name) for one in speech)
    return max(len(str(copies)), *chapters)


def _name(audio: Path, suffix: str) -> Path:
    """A copy's place in its split: as that of its source, but for a suffix of
    the chapter."""
    speaker, chapter = audio.parent.parent.name, audio.parent.name
    number = audio.stem.removeprefix(f"{speaker}-{chapter}-")
    copy = f"{chapter}{suffix}"
    return Path(speaker, copy, f"{speaker}-{copy}-{number}.flac")


# ------------------------------------------------------------ command line


def _summary(folder: Path) -> Iterator[str]:
    manifest = read_manifest(folder)
    yield f"The split is in {folder}"
    yield (
        f"  {manifest['utterances']} utterances, "
        f"{60 * manifest['hours']:.1f} min"
    )
    for line in manifest["description"].splitlines():
        yield f"  {line}"


def main(arguments: list[str] | None = None) -> int:
    """Run ``neuronprune-alike HOME_SPLIT TARGET_SPLIT OUTPUT``.

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
        "neuronprune-alike",
        description="Write copies of a labelled split in LibriSpeech's layout "
        "that sound like an unlabelled one.",
    )
    parser.add_argument("home", help="the labelled split's folder")
    parser.add_argument("target", help="a folder with a split of the domain")
    parser.add_argument("output", help="the folder to write")
    parser.add_argument("--copies", type=int, default=2, help="default: 2")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    options = parser.parse_args(arguments)
    return run_command(
        lambda: _summary(
            write_alike(
                options.home,
                options.target,
                options.output,
                options.copies,
                options.seed,
            )
        )
    )


if __name__ == "__main__":
    sys.exit(main())
