"""The recipe from end to end, on a corpus of two tones.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import functools
import importlib.util
import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from speechbrain.inference import EncoderASR

from speechbrain_neuronprune.brains import AdaptiveDropoutASR
from speechbrain_neuronprune.compaction import remove_gates
from speechbrain_neuronprune.deploy import finalise
from speechbrain_neuronprune.deploy.run import open_run
from speechbrain_neuronprune.errors import (
    DataError,
    ExperimentError,
    PlanError,
    TrainingError,
)
from speechbrain_neuronprune.plan import PruningPlan
from tests.tiny_run import CONFORMER

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "recipes/LibriSpeech/ASR/CTC/train_adaptive_dropout.py"
TINY = {
    **CONFORMER,
    "vocab_size": 3,
    "number_of_epochs": 3,
    "steps_per_epoch": 4,
    "short_steps": 4,
    "lr_warmup_steps": 2,
    "max_batch_length": 4,
    "target_parameters": 0.6,
    "other_targets": [0.8],
}


def arguments(corpus, output, hparams="conformer_ctc_mini", **changes):
    options = {**TINY, "data_folder": corpus, "output_folder": output}
    if hparams.endswith("dense"):
        del options["target_parameters"], options["other_targets"]
    options |= changes
    return [
        str(ROOT / "hparams" / f"{hparams}.yaml"),
        *[f"--{name}={value}" for name, value in options.items()],
        "--noprogressbar",
        "--device=cpu",
    ]


@pytest.fixture
def recipe(monkeypatch):
    """The script as a module, without the report, which takes longest; what
    it does to logging is undone."""
    monkeypatch.setattr(finalise, "write_report", lambda folder: None)
    monkeypatch.syspath_prepend(SCRIPT.parent)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", root.handlers)
    spec = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, SCRIPT.stem, module)
    spec.loader.exec_module(module)
    return module


def popen(*arguments):
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *arguments],
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "PYTHONPATH": str(ROOT),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def finished(corpus, tmp_path_factory):
    """The output folder of a whole run in a process of its own."""
    output = tmp_path_factory.mktemp("results") / "run"
    process = popen(*arguments(corpus, output))
    messages, _ = process.communicate(timeout=300)
    assert process.returncode == 0, messages
    return output


def test_a_run_leaves_everything_behind(finished):
    for name in (
        "train_log.txt",
        "retention.jsonl",
        "plan.json",
        "results.json",
        "wer_dense_test-clean.txt",
        "wer_masked_test-clean.txt",
        "wer_compact_test-clean.txt",
        "model/hyperparams.yaml",
        "report/report.html",
        "report/figures.json",
    ):
        assert (finished / name).is_file(), name
    assert list(finished.glob("save/CKPT*/sampler.ckpt"))


def test_masked_and_compact_agree(finished):
    results = json.loads((finished / "results.json").read_text())
    split = results["splits"]["test-clean"]
    assert split["identical"] == split["utterances"] == 3
    assert split["masked"] == split["compact"]
    assert split["cer"]["masked"] == split["cer"]["compact"] >= 0
    assert results["max_difference"] < 1e-4
    sizes = {k: v["parameters"] for k, v in results["cost"].items()}
    assert sizes["masked"] == sizes["dense"]
    assert sizes["compact"] == pytest.approx(0.6 * sizes["dense"], rel=0.01)


def test_other_sizes_are_evaluated_on_all_splits(finished):
    sizes = json.loads((finished / "sizes.json").read_text())
    assert list(sizes) == ["dense", "0.8"]
    share = sizes["0.8"]["parameters"] / sizes["dense"]["parameters"]
    assert share == pytest.approx(0.8, rel=0.01)
    for figures in sizes.values():
        assert list(figures["splits"]) == ["dev-clean", "test-clean"]
        for split in figures["splits"].values():
            errors, words = map(
                sum, zip(*split["utterances"].values(), strict=True)
            )
            assert split["wer"] == pytest.approx(100 * errors / words)


def test_error_rates_are_in_the_hosts_format(finished):
    first = (finished / "wer_compact_test-clean.txt").read_text()
    assert first.startswith("%WER ")
    results = json.loads((finished / "results.json").read_text())
    wer = results["splits"]["test-clean"]["compact"]
    assert f"%WER {wer:.2f}" in first


def test_the_logs_follow_the_schedule(finished):
    epochs = lines(finished / "retention.jsonl")
    assert [line["step"] for line in epochs] == [4, 8, 12]
    assert [line["c"] for line in epochs] == pytest.approx([8, 0, -2])
    assert all(line["valid_wer"] >= 0 for line in epochs)
    assert all(line["valid_cer"] >= 0 for line in epochs)
    log = (finished / "train_log.txt").read_text().splitlines()
    assert len(log) == 3
    for entry in ("alive ffn: ", "expected parameters: ", "c: ", "valid WER"):
        assert entry in log[-1]


def test_the_directory_transcribes_in_a_new_process(finished, corpus):
    speech = sorted((corpus / "test-clean").glob("*/*/*.flac"))[0]
    module = "speechbrain_neuronprune.deploy.transcribe"
    done = subprocess.run(
        [sys.executable, "-m", module, finished / "model", speech],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)},
        cwd="/",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{speech}: ")


@pytest.mark.parametrize("more", [[], ["--test_only"]], ids=str)
def test_a_finished_run_may_be_finalised_again(finished, corpus, recipe, more):
    before = PruningPlan.load(finished / "plan.json")
    epochs = lines(finished / "retention.jsonl")
    results = json.loads((finished / "results.json").read_text())
    (finished / "results.json").unlink()
    recipe.main([*arguments(corpus, finished), *more])
    after = PruningPlan.load(finished / "plan.json")
    assert all(torch.equal(before.keep[n], after.keep[n]) for n in before.keep)
    assert lines(finished / "retention.jsonl") == epochs
    again = json.loads((finished / "results.json").read_text())
    for name in ("splits", "training"):
        assert again[name] == results[name]


def test_a_killed_run_goes_on(corpus, tmp_path, recipe, monkeypatch):
    output = tmp_path / "run"
    options = arguments(corpus, output, number_of_epochs=20)
    often = ["--ckpt_interval_minutes=0", "--ckpt_interval_steps=1"]
    process = popen(*options, *often)
    while not list(output.glob("save/CKPT*")) and process.poll() is None:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    saved = newest_model(output / "save")

    recovered = {}
    recover = AdaptiveDropoutASR.on_fit_start

    def on_fit_start(brain):
        recover(brain)
        state = brain.hparams.model.state_dict()
        recovered.update({k: v.clone() for k, v in state.items()})

    monkeypatch.setattr(AdaptiveDropoutASR, "on_fit_start", on_fit_start)
    recipe.main(options)
    assert saved.keys() == recovered.keys()
    [step] = {int(v) for k, v in saved.items() if "steps_taken" in k}
    assert step > 0
    for name, value in saved.items():
        assert torch.equal(value, recovered[name]), name
    assert [line["step"] for line in lines(output / "retention.jsonl")] == [
        4 * epoch for epoch in range(1, 21)
    ]
    EncoderASR.from_hparams(source=str(output / "model"))


def newest_model(folder):
    """The weights of the most recent checkpoint, copied."""
    newest = max(folder.glob("CKPT*"), key=_unixtime)
    state = torch.load(newest / "model.ckpt")
    return {name: value.clone() for name, value in state.items()}


def _unixtime(checkpoint):
    meta = (checkpoint / "CKPT.yaml").read_text()
    [line] = [x for x in meta.splitlines() if x.startswith("unixtime")]
    return float(line.split(":")[1])


def test_the_dense_control_takes_the_same_steps(corpus, tmp_path, recipe):
    output = tmp_path / "run"
    recipe.main(arguments(corpus, output, hparams="conformer_ctc_mini_dense"))
    assert [line["step"] for line in lines(output / "retention.jsonl")] == [
        4,
        8,
        12,
    ]
    results = json.loads((output / "results.json").read_text())
    split = results["splits"]["test-clean"]
    assert split["dense"] == split["masked"] == split["compact"]
    EncoderASR.from_hparams(source=str(output / "model"))


@pytest.mark.parametrize(
    "hparams", ["conformer_transformer_mini", "conformer_ctc_mini_streaming"]
)
def test_decoders_and_chunks(corpus, tmp_path, recipe, hparams, monkeypatch):
    costs = functools.partial(finalise.measure_costs, rounds=1)
    monkeypatch.setattr(finalise, "measure_costs", costs)
    options = arguments(corpus, tmp_path / "run", hparams, other_targets=[])
    recipe.main([*options, "--debug"])
    output = tmp_path / "run" / "debug"
    results = json.loads((output / "results.json").read_text())
    split = results["splits"]["test-clean"]
    assert split["identical"] == split["utterances"] == 3
    assert results["max_difference"] < 1e-4
    sizes = {k: v["parameters"] for k, v in results["cost"].items()}
    assert sizes["compact"] == pytest.approx(0.6 * sizes["dense"], rel=0.02)


def test_fp16_needs_a_gpu(corpus, tmp_path, recipe):
    options = [*arguments(corpus, tmp_path / "run"), "--precision=fp16"]
    with pytest.raises(TrainingError, match="fp16 needs a GPU.*bf16"):
        recipe.main(options)
    assert not list((tmp_path / "run" / "save").iterdir())


def test_debug_mode(corpus, tmp_path, recipe):
    speech = "--test_dataloader_opts={batch_size: 1}"
    recipe.main([*arguments(corpus, tmp_path / "run"), speech, "--debug"])
    [folder] = (tmp_path / "run").iterdir()  # nothing else is touched
    assert folder.name == "debug"
    epochs = lines(folder / "retention.jsonl")
    assert [line["step"] for line in epochs] == [2, 4]
    results = json.loads((folder / "results.json").read_text())
    assert results["splits"]["test-clean"]["utterances"] == 2
    log = (folder / "log.txt").read_text()
    assert "took 4 steps, but its model is pruned at step 9" in log


def test_debugging_persistently(corpus, tmp_path, recipe, monkeypatch):
    monkeypatch.setattr(recipe, "finalise", lambda *arguments: None)
    options = arguments(corpus, tmp_path / "run", other_targets="null")
    recipe.main([*options, "--debug", "--debug_persistently"])
    assert (tmp_path / "run" / "retention.jsonl").is_file()
    assert list((tmp_path / "run").glob("save/CKPT*"))
    assert not (tmp_path / "run" / "sizes.json").exists()


def test_tensorboard(corpus, tmp_path, recipe, monkeypatch):
    pytest.importorskip("tensorboard")
    monkeypatch.setattr(recipe, "finalise", lambda *arguments: None)
    options = arguments(corpus, tmp_path / "run", use_tensorboard=True)
    recipe.main([*options, "--debug"])
    output = tmp_path / "run" / "debug"
    assert list((output / "tensorboard").glob("events*"))
    assert (output / "train_log.txt").exists()


def test_accumulation_and_precision(corpus, tmp_path, recipe, monkeypatch):
    monkeypatch.setattr(recipe, "finalise", lambda *arguments: None)
    options = arguments(corpus, tmp_path / "run", grad_accumulation_factor=2)
    recipe.main([*options, "--precision=bf16"])
    epochs = lines(tmp_path / "run" / "retention.jsonl")
    # A step has two batches, not an epoch half of the steps.
    assert [line["step"] for line in epochs] == [4, 8, 12]


# ------------------------------------------------------- a trained model

SHORT = {"number_of_epochs": 2, "steps_per_epoch": 2, "other_targets": []}


def finetune(corpus, output, start, **changes):
    options = SHORT | {"starting_point": start} | changes
    name = "conformer_ctc_mini_finetune"
    return arguments(corpus, output, hparams=name, **options)


@pytest.fixture
def began(recipe, monkeypatch):
    """The weights that trainings began with, in order."""
    states = []
    begin = AdaptiveDropoutASR.on_fit_start

    def on_fit_start(brain):
        begin(brain)
        state = brain.hparams.model.state_dict()
        states.append({k: v.clone() for k, v in state.items()})

    monkeypatch.setattr(AdaptiveDropoutASR, "on_fit_start", on_fit_start)
    return states


def test_a_trained_model_is_pruned_further(
    finished, corpus, tmp_path, recipe, began, monkeypatch
):
    output = tmp_path / "run"
    recipe.main(finetune(corpus, output, finished, distill_blocks=1.0))
    parent = open_run(finished)
    state = remove_gates(parent.hparams.model).state_dict()
    for name, value in state.items():
        assert torch.equal(began[0][name], value), name
    tokens = [folder / "save/tokenizer.model" for folder in (finished, output)]
    assert tokens[0].read_bytes() == tokens[1].read_bytes()
    results = json.loads((output / "results.json").read_text())
    sizes = {k: v["parameters"] for k, v in results["cost"].items()}
    assert sizes["compact"] == pytest.approx(0.6 * sizes["dense"], rel=0.01)
    saved = newest_model(output / "save")
    assert saved.keys() == began[0].keys()  # no teacher
    EncoderASR.from_hparams(source=str(output / "model"))

    # Resumed, it goes on from its own checkpoint.
    monkeypatch.setattr(recipe, "finalise", lambda *arguments: None)
    recipe.main(finetune(corpus, output, finished, number_of_epochs=3))
    for name, value in saved.items():
        assert torch.equal(began[1][name], value), name


def test_a_starting_point_with_other_tokens(finished, corpus, tmp_path, recipe):
    options = finetune(corpus, tmp_path / "run", finished, vocab_size=9)
    with pytest.raises(ExperimentError, match=r"ctc_lin\..*\(9, 16\) here"):
        recipe.main(options)
    assert not list((tmp_path / "run").glob("save/CKPT*"))


def test_distillation_needs_a_starting_point(corpus, tmp_path, recipe):
    options = finetune(corpus, tmp_path / "run", "null")
    with pytest.raises(TrainingError, match="no teacher.*starting_point"):
        recipe.main(options)


# ---------------------------------------------------------------- bad inputs


def test_an_error_is_one_sentence_and_an_exit_status(tmp_path):
    process = popen(*arguments(tmp_path / "nothing", tmp_path / "run"))
    messages, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "Traceback" not in messages
    last = messages.strip().splitlines()[-1]
    assert last.startswith(f"error: The data folder {tmp_path / 'nothing'} do")


def test_a_loss_that_is_no_number(corpus, tmp_path, recipe):
    options = arguments(corpus, tmp_path / "run", lr="1.0e+30")
    with pytest.raises(TrainingError, match="The loss is nan at optimizer"):
        recipe.main(options)
    assert not list((tmp_path / "run").glob("save/CKPT*"))


def test_a_training_too_short_for_its_schedule(corpus, tmp_path, recipe):
    options = arguments(corpus, tmp_path / "run", decline_steps=100)
    with pytest.raises(TrainingError, match="12 optimizer steps.*_epochs=26"):
        recipe.main(options)
    assert not list((tmp_path / "run").glob("save/CKPT*"))


def test_a_target_out_of_reach(corpus, tmp_path, recipe):
    options = arguments(corpus, tmp_path / "run", target_parameters=0.01)
    with pytest.raises(PlanError, match="out of reach"):
        recipe.main([*options, "--debug"])
    output = tmp_path / "run" / "debug"
    assert output.is_dir()
    assert not (output / "results.json").exists()
    assert not (output / "model").exists()


def test_a_vocabulary_of_another_size(corpus, tmp_path, recipe):
    options = arguments(corpus, tmp_path / "run", vocab_size=9)
    with pytest.raises(DataError, match="--vocab_size=3"):
        recipe.main(options)


def test_an_output_folder_that_cannot_be_written(corpus, tmp_path, recipe):
    (tmp_path / "file").write_text("in the way")
    options = arguments(corpus, tmp_path / "file" / "run")
    with pytest.raises(TrainingError, match="choose an output folder"):
        recipe.main(options)


def test_a_yaml_that_does_not_exist(corpus, tmp_path, recipe):
    options = arguments(corpus, tmp_path / "run", hparams="none")
    with pytest.raises(TrainingError, match="Cannot read .*none.yaml"):
        recipe.main(options)


def test_a_checkpoint_of_another_architecture(finished, corpus, recipe):
    with pytest.raises(TrainingError, match="another output_folder"):
        recipe.main(arguments(corpus, finished, d_ffn=32))
