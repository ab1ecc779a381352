"""Settings that cannot work are refused before anything begins.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from dataclasses import replace

import pytest

from speechbrain_neuronprune.domain_adaptation.checks import (
    check_output,
    check_replay,
    check_tests,
)
from speechbrain_neuronprune.errors import (
    DataError,
    ExperimentError,
    NeuronPruneError,
    SelectionError,
)
from tests.tiny_adaptation import as_model, labelled_rows, measured_rows


@pytest.mark.parametrize("warmup", [-0.1, 1.0])
def test_a_warmup_must_leave_steps(adaptation, warmup):
    with pytest.raises(SelectionError, match=f"warmup={warmup} of the steps"):
        adaptation(warmup=warmup).run()


def test_a_start_cannot_count_where_the_last_state_is_taken(adaptation):
    with pytest.raises(SelectionError, match="set start_counts to False"):
        adaptation(start_counts=True).run()


def test_replayed_speech_will_do_without_home(adaptation):
    one = as_model(adaptation(), "E")
    with pytest.raises(SelectionError, match="or replay_folder and replay_spl"):
        check_replay("E", one.stages, one.speech)
    one.speech = replace(one.speech, replayed=labelled_rows(4, "alike"))
    check_replay("E", one.stages, one.speech)


def test_layers_that_the_model_lacks_are_those_of_the_yaml(adaptation):
    one = adaptation(layers=["*linear9"])
    with pytest.raises(SelectionError, match=r"layers=\['\*linear9'\] do not"):
        one.run()
    assert not (one.folder / "request.json").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"criterion": "foo"}, "There is no criterion 'foo'"),
        ({"neurons": "foo"}, "There is no choice 'foo' of neurons"),
        ({"hypo": 0.01}, "hypo=0.01 is less than one of the 25 neurons"),
        ({"hyper": "few"}, "hyper='few' cannot be used; give a number"),
        ({"fraction": 0}, "A fraction of 0 of the utterances"),
        ({"held_back": 0}, "a share of 0 cannot be held back"),
        ({"views": -1}, "views=-1 cannot be used; give a whole number, 0"),
        ({"rounds": 0}, "rounds=0 cannot be used; give a whole number, 1"),
        ({"patience": 0}, "With patience=0, training would end before"),
        ({"patience": 1.5}, "With patience=1.5, training would end before"),
        ({"seed": -1}, "seed=-1 cannot be used; give a whole number, 0"),
        ({"window": 2.5}, "window=2.5 is no whole number"),
        ({"max_batch_length": 0}, "batches of max_batch_length=0"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0 cannot be used"),
        ({"warmup": "slow"}, "warmup=slow of the steps"),
        ({"blank_index": 4}, "blank_index=4 is none of the 4 outputs"),
        ({"blank_index": -1}, "blank_index=-1 cannot be used"),
    ],
)
def test_settings_that_cannot_be_used_leave_nothing(
    adaptation, changes, message
):
    one = adaptation(**changes)
    with pytest.raises(NeuronPruneError, match=message):
        one.run()
    assert list(one.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("output", "source"),
    [
        ("run", "run"),
        ("run/adapted", "run"),
        ("run", "run/model"),
        ("run", "run/model/inner"),
        ("link", "run/model"),
        ("run/../run/model", "link/model"),
    ],
)
def test_an_output_that_meets_the_starting_model(tmp_path, output, source):
    (tmp_path / "link").symlink_to(tmp_path / "run")
    hparams = {"starting_model": str(tmp_path / source)}
    hparams["output_folder"] = str(tmp_path / output)
    with pytest.raises(ExperimentError, match="would mix the adapted model"):
        check_output(hparams)


@pytest.mark.parametrize("source", ["start", "run/start", "runner/model"])
def test_an_output_beside_the_starting_model(tmp_path, source):
    hparams = {"starting_model": str(tmp_path / source)}
    check_output(hparams | {"output_folder": str(tmp_path / "run")})


def test_an_output_that_meets_the_starting_model_is_left_alone(adaptation):
    one = adaptation()
    one.hparams["starting_model"] = str(one.folder / "model")
    with pytest.raises(ExperimentError, match="choose an output folder else"):
        one.run()
    assert list(one.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("place", "use"),
    [("target", "adapted to"), ("home", "replayed"), ("replayed", "replayed")],
)
def test_what_is_tested_on_has_no_influence(adaptation, place, use):
    speech = adaptation().speech
    tests = {"target/dev": measured_rows("0", "1")}
    check_tests(replace(speech, tests=tests, home=labelled_rows(4, "test/a")))
    same = {"other": measured_rows("1")["1"] | {"wav": "./test/../test/1"}}
    with pytest.raises(DataError, match=f"target/dev is also .* be {use}"):
        check_tests(replace(speech, tests=tests, **{place: same}))
