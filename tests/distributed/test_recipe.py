"""The training recipe in two processes: one model, one writer, one end.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
from pathlib import Path

import pytest
import torch
from speechbrain.inference import EncoderASR
from torch.multiprocessing import ProcessRaisedException

from speechbrain_neuronprune.deploy.run import open_run
from tests.distributed import runs
from tests.distributed.launch import in_processes
from tests.tiny_recogniser import write_corpus
from tests.tiny_run import CONFORMER, write_run

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "recipes/LibriSpeech/ASR/CTC/train_adaptive_dropout.py"
TINY = {
    **CONFORMER,
    "train_splits": "[train]",
    "dev_splits": "[dev]",
    "test_splits": "[reverb]",
    "vocab_size": 4,
    "number_of_epochs": 3,
    "steps_per_epoch": 4,
    "short_steps": 4,
    "lr_warmup_steps": 2,
    "max_batch_length": 2,
    "settle_step": 10,
    "shrink": True,
    "target_parameters": 0.6,
}
# Of the output layer, which learns at once
WEIGHTS = ("2.w.weight", "2.w.bias")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def train(folder, corpus, hparams="conformer_ctc_mini", **changes):
    """Train in two processes, in a folder."""
    options = {**TINY, "data_folder": corpus, "output_folder": folder / "run"}
    options |= changes
    arguments = [
        str(ROOT / f"hparams/{hparams}.yaml"),
        *[f"--{name}={value}" for name, value in options.items()],
        *("--noprogressbar", "--device=cpu", "--distributed_backend=gloo"),
    ]
    in_processes(folder / "returned", runs.run_recipe, SCRIPT, arguments)


def test_the_recipe_in_two_processes(corpus, tmp_path):
    train(tmp_path, corpus)
    run = tmp_path / "run"
    epochs = (run / "retention.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in epochs]
    assert [line["step"] for line in lines] == [4, 8, 12]
    assert lines[-1]["c"] == -2.0
    assert len((run / "train_log.txt").read_text().splitlines()) == 3
    results = json.loads((run / "results.json").read_text())
    sizes = {k: v["parameters"] for k, v in results["cost"].items()}
    assert sizes["compact"] == pytest.approx(0.6 * sizes["dense"], rel=0.02)
    assert results["max_difference"] < 1e-4
    EncoderASR.from_hparams(source=str(run / "model"))


def test_both_processes_have_a_teacher(corpus, tmp_path):
    start = write_run(tmp_path / "dense", "conformer_ctc_mini_dense")
    train(
        tmp_path,
        corpus,
        "conformer_ctc_mini_finetune",
        starting_point=start,
        distill_blocks=1.0,
        n_mels=20,
        number_of_epochs=1,
        settle_step=3,
    )
    checkpoint = next((tmp_path / "run/save").glob("CKPT*")) / "model.ckpt"
    states = [
        torch.load(checkpoint),
        open_run(start).hparams.model.state_dict(),
    ]
    ours, taken = (
        {name for name in state if "gate" not in name} for state in states
    )
    assert ours == taken  # the teacher is not in it
    assert not any(torch.equal(states[0][n], states[1][n]) for n in WEIGHTS)


def test_an_error_of_one_process_ends_all(tmp_path):
    with pytest.raises(ProcessRaisedException, match="The data folder"):
        train(tmp_path, tmp_path / "nowhere")
