#!/usr/bin/env python3
"""Kill a training run (SIGKILL) at random moments; nothing may be lost.

After every kill, the run must recover the step of the schedule and the
logits that the last checkpoint holds; at the end it must have taken every
step exactly once and leave a model that SpeechBrain's interface loads.

    python benchmarks/kill_and_resume.py DATA_FOLDER --output results/killed

Arguments after these go to the recipe, for instance --number_of_epochs=4.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.inference import EncoderASR
from tqdm import tqdm

from speechbrain_neuronprune.attach import adaptive_dropouts

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ROOT / "recipes/LibriSpeech/ASR/CTC/train_adaptive_dropout.py"
YAML = ROOT / "hparams/conformer_ctc_mini.yaml"


def start(options: argparse.Namespace) -> subprocess.Popen:
    """Start or resume the run, with a checkpoint every few steps."""
    return subprocess.Popen(
        [
            sys.executable,
            str(RECIPE),
            str(YAML),
            f"--data_folder={options.data_folder}",
            f"--output_folder={options.output}",
            "--noprogressbar",
            "--ckpt_interval_minutes=0",
            f"--ckpt_interval_steps={options.every}",
            *options.overrides,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )


def newest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint that a resumed run must take."""
    complete = folder.glob("save/CKPT*")
    return max(complete, key=lambda path: path.stat().st_mtime, default=None)


def recovered_equals_saved(options: argparse.Namespace) -> int:
    """Recover as the recipe does; compare with the file. Gives the step."""
    newest = newest_checkpoint(options.output)
    if newest is None:
        return 0
    text = (options.output / "hyperparams.yaml").read_text()
    hparams = load_hyperpyyaml(text)
    hparams["checkpointer"].recover_if_possible()
    saved = torch.load(newest / "model.ckpt")
    restored = hparams["model"].state_dict()
    same = all(torch.equal(saved[key], restored[key]) for key in saved)
    if saved.keys() != restored.keys() or not same:
        raise SystemExit(f"{newest} was not recovered as it was saved.")
    gates = adaptive_dropouts(hparams["Transformer"])
    return next(iter(gates.values())).schedule.step


def kill_once(options: argparse.Namespace, seconds: float) -> int:
    """Let the run work for some time, kill it, check what is left."""
    process = start(options)
    time.sleep(seconds)
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    elif process.returncode:
        raise SystemExit("The run failed by itself; run the recipe to see.")
    process.wait()
    return recovered_equals_saved(options)


def check_end(options: argparse.Namespace) -> int:
    """Run to the end; every step was taken once; the model loads."""
    if start(options).wait():
        raise SystemExit("The last run failed.")
    log = (options.output / "retention.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in log]
    if [step - steps[0] * n for n, step in enumerate(steps, 1)] != [0] * len(
        steps
    ):
        raise SystemExit(f"Steps were lost or repeated: {steps}.")
    EncoderASR.from_hparams(source=str(options.output / "model"))
    return steps[-1]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; unknown options go to the recipe."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("data_folder", type=Path)
    parser.add_argument("--output", type=Path, default=Path("results/killed"))
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--least", type=float, default=5.0)
    parser.add_argument("--most", type=float, default=25.0)
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    known, overrides = parser.parse_known_args(arguments)
    known.overrides = overrides
    return known


def main(arguments: list[str] | None = None) -> None:
    """Kill, recover, repeat; then finish."""
    options = parse(arguments)
    shutil.rmtree(options.output, ignore_errors=True)
    rng = random.Random(options.seed)
    for number in tqdm(range(1, options.kills + 1), desc="kills"):
        seconds = rng.uniform(options.least, options.most)
        step = kill_once(options, seconds)
        tqdm.write(
            f"kill {number} after {seconds:.1f} s: recovered step {step}, "
            "all parameters and logits as saved"
        )
    print(f"finished: {check_end(options)} steps, each once; the model loads")


if __name__ == "__main__":
    main()
