#!/usr/bin/env python3
"""Divide the speakers of a corpus into folds, for cross-validation.

A small test split cannot tell apart models that differ by a point. Here every
speaker of two splits, ``train`` and ``test``, is tested once, by a model that
was trained on the others:

    python benchmarks/speaker_folds.py DATA_FOLDER FOLDS --folds 4
    python benchmarks/real_speech.py FOLDS/{seed} --seeds 1 2 3 4 ...

writes FOLDS/1 to FOLDS/4, each with the splits train, dev and test, and trains
on fold n with seed n. The splits hold links to the speakers' folders, no
copies; ``dev``, on which settings were chosen, stays as it is in all folds.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
from pathlib import Path

import numpy as np

TRAIN, DEV, TEST = SPLITS = ("train", "dev", "test")


def speakers_of(data: Path) -> dict[str, Path]:
    """The folders of the speakers to be divided, by name."""
    folders = [
        folder
        for split in (TRAIN, TEST)
        for folder in sorted((data / split).iterdir())
        if folder.is_dir()
    ]
    speakers = {folder.name: folder for folder in folders}
    if len(speakers) < len(folders):
        raise SystemExit(
            f"Some speakers are in {TRAIN} and in {TEST} of {data}; folds "
            "need splits without common speakers."
        )
    return speakers


def divide(names: list[str], folds: int, seed: int = 0) -> list[list[str]]:
    """Divide speakers at random into folds of nearly one size.

    Arguments
    ---------
    names : list of str
        The speakers.
    folds : int
        How many folds.
    seed : int
        Another seed divides them otherwise.

    Returns
    -------
    list of list of str
        The speakers that each fold tests.
    """
    if not 2 <= folds <= len(names):
        raise SystemExit(
            f"{len(names)} speakers cannot make {folds} folds; give a number "
            f"from 2 to {len(names)}."
        )
    drawn = np.random.default_rng(seed).permutation(sorted(names)).tolist()
    return [sorted(drawn[fold::folds]) for fold in range(folds)]


def write_folds(data: Path, output: Path, folds: int) -> None:
    """Write the folds' splits as links."""
    speakers = speakers_of(data)
    for number, tested in enumerate(divide(list(speakers), folds), start=1):
        for name, folder in speakers.items():
            split = TEST if name in tested else TRAIN
            _link(output / str(number) / split / name, folder)
        _link(output / str(number) / DEV, data / DEV)


def _link(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target, target_is_directory=True)


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and write the folds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("data_folder", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--folds", type=int, default=4)
    options = parser.parse_args(arguments)
    write_folds(options.data_folder.resolve(), options.output, options.folds)


if __name__ == "__main__":
    main()
