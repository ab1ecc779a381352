"""Trainings that are compared: what a recipe is told, and its runs.

A folder per arm and seed holds what one run left. Runs that are complete are
not run again, and a run that was stopped goes on where it stopped.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from paired import paired_difference
from tqdm import tqdm

from speechbrain_neuronprune.files import write_json

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ROOT / "recipes/LibriSpeech/ASR/CTC/train_adaptive_dropout.py"
PRUNED = "adaptive dropout"
DENSE = "dense"

# Steps of one training, and when its units are decided, in shares of them: the
# decline starts when the blank plateau is over, and most of the run trains
# what is left
STEPS = 2000
STEPS_PER_EPOCH = 80
SHORT_STEPS = 200
DECISION = {"hold_steps": 0.4, "decline_steps": 0.1, "settle_step": 0.525}
GATES = {"transformer_dropout": 0.1, "logits_pull": 1e-3}


def dense_arm(width: int, hidden: int) -> tuple[str, dict[str, Any]]:
    """The yaml without gates, at a width."""
    return "conformer_ctc_mini_dense", {"d_model": width, "d_ffn": hidden}


def training(steps: int, shares: Mapping[str, float]) -> dict[str, int]:
    """What a yaml is told about a training of so many steps, in shares of
    which its units are decided."""
    return {
        "number_of_epochs": steps // STEPS_PER_EPOCH,
        "short_steps": min(SHORT_STEPS, steps),
        **{name: round(share * steps) for name, share in shares.items()},
    }


def schedule(arm: str, steps: int) -> dict[str, int]:
    """What an arm's yaml is told about a training of so many steps."""
    return training(steps, DECISION if arm.startswith(PRUNED) else {})


def run_folder(output: Path, arm: str, seed: int) -> Path:
    """Where one training leaves its files."""
    return output / f"{arm.replace(' ', '-')}-{seed}"


def data_folder(arguments: argparse.Namespace, seed: int) -> str:
    """The corpus, or the fold that a seed trains and tests on."""
    return str(arguments.data_folder).replace("{seed}", str(seed))


def run_recipe(
    arguments: argparse.Namespace,
    arm: str,
    seed: int,
    yaml: str,
    changes: dict[str, Any],
) -> None:
    """Run the recipe in a process of its own, unless it is complete."""
    folder = run_folder(arguments.output, arm, seed)
    options = [f"--{key}={value}" for key, value in changes.items()]
    check_request(folder, [f"{yaml}.yaml", *options, *arguments.overrides])
    if (folder / "sizes.json").exists():
        return
    threads = max(1, len(os.sched_getaffinity(0)) // arguments.jobs)
    with open(folder / "output.txt", "a", encoding="utf-8") as output:
        done = subprocess.run(
            [
                sys.executable,
                str(RECIPE),
                str(ROOT / "hparams" / f"{yaml}.yaml"),
                f"--data_folder={data_folder(arguments, seed)}",
                f"--output_folder={folder}",
                f"--seed={seed}",
                "--noprogressbar",
                *options,
                *arguments.overrides,
            ],
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if done.returncode:
        raise SystemExit(
            f"The training {arm}, seed {seed} failed; see {output.name}."
        )


def check_request(folder: Path, request: list[str]) -> None:
    """Note what a training was asked for, or refuse to take another one for
    it, say with other --steps."""
    path = folder / "request.json"
    if (folder / "sizes.json").exists() and not path.exists():
        return  # nobody knows
    if not path.exists():
        write_json(path, request)
    before = json.loads(path.read_text(encoding="utf-8"))
    if before != request:
        changed = set(before) ^ set(request)
        raise SystemExit(
            f"{folder} holds a training with other options "
            f"({', '.join(sorted(changed))}); give another --output, or "
            "delete that folder."
        )


def train_all(
    arguments: argparse.Namespace,
    arms: Iterable[str],
    train: Callable[[argparse.Namespace, str, int], None],
) -> None:
    """Arms of all seeds, a few at a time, with a progress bar."""
    work = [(arm, s) for s in arguments.seeds for arm in arms]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        jobs = [pool.submit(train, arguments, *one) for one in work]
        for job in tqdm(jobs, desc="trainings"):
            job.result()


def difference(
    one: list[dict], other: list[dict], split: str
) -> dict[str, float]:
    """WER of ``one`` less that of ``other``, with a 95 % interval."""
    return paired_difference(
        *[
            [run["splits"][split]["utterances"] for run in runs]
            for runs in (one, other)
        ]
    )


def parse(
    arguments: list[str] | None,
    description: str,
    arms: Iterable[str],
    parents: Iterable[argparse.ArgumentParser] = (),
) -> argparse.Namespace:
    """Read the command line; unknown options go to the recipe."""
    parser = argparse.ArgumentParser(
        description=description.split("\n\n")[0], parents=list(parents)
    )
    parser.add_argument("data_folder", type=Path)
    parser.add_argument("--output", type=Path, default=Path("results/words"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--arms", nargs="+", choices=arms, default=list(arms))
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--jobs", type=int, default=1)
    known, overrides = parser.parse_known_args(arguments)
    known.overrides = overrides
    return known
