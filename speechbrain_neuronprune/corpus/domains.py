"""New domains: copies of a split under other acoustic conditions.

A copy in which every utterance went through a condition is what a model is
tested on or adapted to.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import soundfile
from tqdm import tqdm

from speechbrain_neuronprune.command import run_command
from speechbrain_neuronprune.corpus.audio import (
    is_audio,
    read_audio,
    write_audio,
)
from speechbrain_neuronprune.corpus.conditions import (
    KNOWN,
    Condition,
    condition_text,
    corrupt,
    parse_condition,
)
from speechbrain_neuronprune.corpus.layout import corpus_folder
from speechbrain_neuronprune.corpus.manifest import (
    digest,
    holds,
    read_manifest,
    write_manifest,
)
from speechbrain_neuronprune.corpus.noises import (
    MadeNoise,
    NoiseSource,
    RecordedNoise,
)
from speechbrain_neuronprune.corpus.rooms import require_pyroomacoustics
from speechbrain_neuronprune.corpus.splits import (
    refuse_namesakes,
    split_files,
    transcript_files,
)
from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.files import PathLike

FORMAT = 1  # to be raised with every change that is heard or read


def write_domain(
    source: PathLike,
    target: PathLike,
    condition: str,
    seed: int = 0,
    noise_folder: PathLike | None = None,
) -> Path:
    """Write a copy of a split, heard under another condition; or find it
    written.

    Every utterance keeps its name, its length, its sampling rate and its
    transcript; several channels become one. What happens to an utterance
    does not depend on which others there are, except for who babbles, and is
    the same whenever its name and the seed are.

    Arguments
    ---------
    source : path-like
        The folder of a split in LibriSpeech's layout.
    target : path-like
        The folder to write, in the same layout.
    condition : str
        What happens to the speech, joined by "+" in that order: ``room`` (one
        of 16 simulated rooms, reverberation times from 0.2 to 0.8 s),
        ``noise:SNR`` (noise at a signal-to-noise ratio in decibels) and
        ``phone`` (8 kHz, mu-law), for instance ``room+noise:10``.
    seed : int
        Another seed gives other rooms and noise.
    noise_folder : path-like, optional
        A folder of audio files to take the noise from. By default it is made:
        coloured noise, hum, or babble of other utterances of the split.

    Returns
    -------
    Path
        The target, as an absolute path.

    Raises
    ------
    DataError
        If the condition is unknown, there is no speech or no noise, two
        recordings have the same name, a file cannot be read, the target holds
        other files, or pyroomacoustics is not installed.

    Example
    -------
    >>> import numpy as np
    >>> from speechbrain_neuronprune.corpus.layout import write_chapter
    >>> folder = getfixture("tmp_path")
    >>> speech = np.random.RandomState(0).randint(-999, 999, 8000, "int16")
    >>> write_chapter(folder / "test", 1001, 1, [(speech, "now")])
    >>> domain = write_domain(folder / "test", folder / "phone", "phone")
    >>> [path.name for path in split_files(domain)]
    ['1001-1-0000.flac', '1001-1.trans.txt']
    """
    source, target = Path(source).resolve(), Path(target).resolve()
    parts = parse_condition(condition)
    if "room" in parts:
        require_pyroomacoustics()
    audio = _find_speech(source, target)
    noise = _noise_source(parts, audio, noise_folder)
    transcripts = transcript_files(source)
    request = {
        "format": FORMAT,
        "condition": condition_text(parts),
        "seed": seed,
        "source": digest(source, audio + transcripts),
        "noise": _noise_digest(noise),
    }
    if not holds(target, request):
        with corpus_folder(target) as folder:
            seconds = _write(source, folder, audio, parts, seed, noise)
            for path in transcripts:
                _copy(path, folder / path.relative_to(source))
            write_manifest(folder, request | _describe(audio, seconds, parts))
    return target


# ----------------------------------------------------------------- reading


def _find_speech(source: Path, target: Path) -> list[Path]:
    if target.is_relative_to(source):
        raise DataError(
            f"The target {target} lies in the source {source}, whose speech it "
            "would become; name a folder elsewhere."
        )
    audio = [path for path in split_files(source) if is_audio(path)]
    if not audio:
        raise DataError(
            f"The split {source} holds no audio files; they belong in "
            f"{source.name}/SPEAKER/CHAPTER/."
        )
    refuse_namesakes(source, audio)  # all become .flac files
    return audio


def _noise_source(
    condition: Condition, audio: Sequence[Path], folder: PathLike | None
) -> NoiseSource | None:
    if "noise" not in condition:
        return None
    if folder is None:
        return MadeNoise(audio)
    return RecordedNoise(Path(folder).resolve())


def _noise_digest(noise: NoiseSource | None) -> str | None:
    if isinstance(noise, RecordedNoise):
        return digest(noise.folder, noise.paths)
    return None  # what is made follows from the rest of the request


# ----------------------------------------------------------------- writing


def _write(
    source: Path,
    folder: Path,
    audio: Sequence[Path],
    condition: Condition,
    seed: int,
    noise: NoiseSource | None,
) -> float:
    """Write all speech; return how many seconds it lasts."""
    seconds = 0.0
    title = f"Writing {condition_text(condition)}"
    for path in tqdm(audio, title, unit="utt", disable=None):
        speech, rate = read_audio(path)
        heard = corrupt(speech, rate, path, condition, seed, noise)
        copy = folder / path.relative_to(source).with_suffix(".flac")
        copy.parent.mkdir(parents=True, exist_ok=True)
        write_audio(copy, heard, rate)
        seconds += len(speech) / rate
    return seconds


def _copy(path: Path, copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, copy)


def _describe(
    audio: Sequence[Path], seconds: float, condition: Condition
) -> dict[str, Any]:
    made_with = {"libsndfile": soundfile.__libsndfile_version__}
    if "room" in condition:
        made_with["pyroomacoustics"] = metadata.version("pyroomacoustics")
    return {
        "utterances": len(audio),
        "hours": round(seconds / 3600, 4),
        "made_with": made_with,
    }


# ------------------------------------------------------------ command line


def _summary(folder: Path) -> Iterator[str]:
    manifest = read_manifest(folder)
    yield f"The split is in {folder}"
    yield (
        f"  {manifest['condition']}: {manifest['utterances']} utterances, "
        f"{60 * manifest['hours']:.1f} min"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run ``neuronprune-domain SOURCE_SPLIT TARGET_SPLIT CONDITION``.

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
        "neuronprune-domain",
        description="Write a copy of a split in LibriSpeech's layout, heard "
        "under another acoustic condition.",
    )
    parser.add_argument("source", help="the split's folder")
    parser.add_argument("target", help="the folder to write")
    conditions = ", ".join(f"{name} ({what})" for name, what in KNOWN.items())
    parser.add_argument(
        "condition", help=f"{conditions}; joined by +, as in room+noise:10"
    )
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument(
        "--noise",
        metavar="FOLDER",
        help="audio files to take noise from; by default it is made",
    )
    options = parser.parse_args(arguments)
    return run_command(
        lambda: _summary(
            write_domain(
                options.source,
                options.target,
                options.condition,
                options.seed,
                options.noise,
            )
        )
    )


if __name__ == "__main__":
    sys.exit(main())
