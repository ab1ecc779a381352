"""What is refused at the beginning of a recipe.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from types import SimpleNamespace

import pytest
import speechbrain as sb
from hyperpyyaml import load_hyperpyyaml
from speechbrain.utils.epoch_loop import EpochCounter

from speechbrain_neuronprune import RetentionSchedule
from speechbrain_neuronprune.brains import AdaptiveDropoutMixin
from speechbrain_neuronprune.brains.adaptive_dropout import DEFAULTS
from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.training.experiment import (
    beginning,
    check_cache,
    check_length,
    check_precision,
    debugging_apart,
    device_of,
    given,
    load_hparams,
)

CPU = ["train.yaml", "--device=cpu"]


@pytest.mark.parametrize(
    "name, hparams, arguments",
    [
        ("precision", {}, [*CPU, "--precision=fp16"]),
        ("precision", {"precision": "fp16"}, CPU),
        ("eval_precision", {}, [*CPU, "--eval_precision=fp16"]),
        ("eval_precision", {"eval_precision": "fp16", "device": "cpu"}, []),
    ],
    ids=str,
)
def test_fp16_on_a_cpu_is_refused(name, hparams, arguments):
    _, run_opts, _ = sb.parse_arguments(arguments or ["train.yaml"])
    message = f"^The {name} fp16 needs a GPU.*--{name}=bf16"
    with pytest.raises(TrainingError, match=message):
        check_precision(hparams, run_opts)


@pytest.mark.parametrize(
    "hparams, arguments",
    [
        ({}, CPU),
        ({"precision": "fp16"}, [*CPU, "--precision=bf16"]),
        ({"precision": "fp16"}, ["train.yaml", "--device=cuda:0"]),
    ],
    ids=str,
)
def test_the_command_line_goes_before_the_yaml(hparams, arguments):
    _, run_opts, _ = sb.parse_arguments(arguments)
    assert check_precision(hparams, run_opts) is None


def test_a_yaml_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "none.yaml"
    with pytest.raises(TrainingError, match=f"Cannot read {path}"):
        with beginning(path):
            path.read_text()


def test_defaults_of_the_host_do_not_go_before_the_yaml():
    _, run_opts, _ = sb.parse_arguments(["a.yaml", "--max_grad_norm=2"])
    assert given(run_opts) == {"max_grad_norm": 2.0}
    assert given(None) == {}
    assert given({"device": "cpu"}) == {"device": "cpu"}


def test_a_device_of_the_yaml_counts_where_none_is_given():
    _, run_opts, _ = sb.parse_arguments(["a.yaml"])
    assert device_of({"device": "cuda:3"}, run_opts) == "cuda:3"
    _, run_opts, _ = sb.parse_arguments(CPU)
    assert device_of({"device": "cuda:3"}, run_opts) == "cpu"


class Brain(AdaptiveDropoutMixin):
    """Five epochs; c(t) declines from step 10 to step 40."""

    schedule = RetentionSchedule(hold=10, steps=30)
    debug = test_only = False

    def __init__(self, **hparams):
        given = {"epoch_counter": EpochCounter(5), **hparams}
        self.hparams = SimpleNamespace(**DEFAULTS | given)


@pytest.mark.parametrize(
    "epoch_steps, hparams, settles, epochs",
    [
        (7, {}, "None", 6),
        (8, {"settle_step": 41}, "41", 6),
        (1, {"total_steps": 39}, "None", 40),
    ],
)
def test_a_training_must_reach_its_pruned_model(
    epoch_steps, hparams, settles, epochs
):
    message = (
        rf"after {5 * epoch_steps} optimizer steps .*hold_steps 10, "
        rf"decline_steps 30, settle_step {settles}\); pass "
        f"--number_of_epochs={epochs} or more"
    )
    with pytest.raises(TrainingError, match=message):
        check_length(Brain(**hparams), epoch_steps)


@pytest.mark.parametrize(
    "epoch_steps, hparams, attributes",
    [
        (8, {"settle_step": 40}, {}),
        (1, {"total_steps": 40}, {}),
        (1, {}, {"debug": True}),
        (1, {}, {"test_only": True}),
        (1, {"settle_step": 99}, {"schedule": None}),
    ],
    ids=str,
)
def test_trainings_that_are_long_enough_or_none(
    epoch_steps, hparams, attributes, monkeypatch
):
    for name, value in attributes.items():
        monkeypatch.setattr(Brain, name, value)
    assert check_length(Brain(**hparams), epoch_steps) is None


@pytest.mark.parametrize(
    "cache, loader, warnings",
    [
        (True, {"num_workers": 2}, 1),
        (True, {"num_workers": 2, "persistent_workers": True}, 0),
        (True, {}, 0),
        (False, {"num_workers": 2}, 0),
    ],
    ids=str,
)
def test_speech_that_workers_forget(cache, loader, warnings, caplog):
    check_cache({"cache_audio": cache, "train_dataloader_opts": loader})
    assert caplog.text.count("of no use with num_workers: 2") == warnings


@pytest.mark.parametrize(
    "options, changes",
    [
        (["--seed=3", "--debug"], {"seed": 3, "output_folder": "runs/3/debug"}),
        (["--debug", "--output_folder=x"], {"output_folder": "x/debug"}),
        (["--debug", "--debug_persistently", "--seed=3"], "seed: 3"),
        (["--seed=3"], "seed: 3"),
    ],
    ids=str,
)
def test_debugging_has_a_folder_of_its_own(tmp_path, options, changes):
    path = tmp_path / "train.yaml"
    path.write_text("seed: 1\noutput_folder: !ref runs/<seed>\n")
    _, run_opts, overrides = sb.parse_arguments([str(path), *options])
    found = debugging_apart(path, overrides, run_opts)
    assert (found.strip() if isinstance(found, str) else found) == changes


@pytest.mark.parametrize(
    "name, remedy",
    [
        ("modle", "do you mean model?"),
        ("mo-del", "do you mean model?"),
        ("starting_point", "choose another"),
        ("", "choose another"),
    ],
)
def test_an_override_of_nothing_is_named(name, remedy):
    with pytest.raises(TrainingError, match=rf"no entry {name} .*{remedy}"):
        with beginning("adapt.yaml"):
            load_hyperpyyaml("model: B\nseed: 1", {name: "A"})


@pytest.mark.parametrize(
    "yaml, changes, problem",
    [
        ("data_folder: !PLACEHOLDER", None, "no value of data_folder yet; .*="),
        ("only words", {"seed": 1}, "is no mapping"),
        ("seed: 1", {"seed": {"of": 1}}, "entry that would get entries"),
        ("seed: [1", None, "cannot be understood"),
        ("seed: 1", "seed: [", "what was given to change it, cannot be"),
    ],
)
def test_what_a_yaml_lacks_is_named(yaml, changes, problem):
    with pytest.raises(TrainingError, match=f"The yaml a.yaml.*{problem}"):
        with beginning("a.yaml"):
            load_hyperpyyaml(yaml, changes)


def test_a_file_of_anything_else_is_named(tmp_path):
    path = tmp_path / "model.ckpt"
    path.write_bytes(b"\x80\x02")
    with pytest.raises(TrainingError, match=f"Cannot read {path}"):
        load_hparams(path, {})


@pytest.mark.parametrize("kind", [KeyError, ValueError])
def test_other_errors_stay(kind):
    with pytest.raises(kind, match="other"), beginning("adapt.yaml"):
        raise kind("other")


def test_a_check_comes_before_the_folder(tmp_path):
    def refuse(hparams):
        raise TrainingError(f"no {hparams['output_folder']}")

    path, output = tmp_path / "train.yaml", tmp_path / "run"
    path.write_text(f"output_folder: {output}\n")
    with pytest.raises(TrainingError, match=f"no {output}"):
        load_hparams(path, {}, refuse)
    assert not output.exists()
