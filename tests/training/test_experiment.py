"""What is refused at the beginning of a recipe.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import speechbrain as sb

from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.training.experiment import (
    beginning,
    check_precision,
    device_of,
    given,
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
