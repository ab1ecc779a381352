"""An adaptation in one process: schedule, labels, requests.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import functools
import json
from dataclasses import replace

import numpy as np
import pytest
import speechbrain as sb
import torch

from speechbrain_neuronprune import domain_adaptation
from speechbrain_neuronprune.adaptation.pseudo_labels import PseudoLabel
from speechbrain_neuronprune.adaptation.stages import Stage
from speechbrain_neuronprune.deploy.quantisation import int8_model
from speechbrain_neuronprune.domain_adaptation import (
    DomainAdaptation,
    DomainSpeech,
)
from speechbrain_neuronprune.errors import (
    DataError,
    ExportError,
    SelectionError,
    TrainingError,
)
from speechbrain_neuronprune.fingerprint import fingerprint
from tests.tiny_adaptation import make_adaptation
from tests.tiny_recogniser import write_recogniser


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_recogniser(tmp_path_factory.mktemp("recogniser") / "run")


@pytest.fixture
def adaptation(model, tmp_path):
    """Make an adaptation of the tiny recogniser, in a folder."""

    def make(folder="run", **changes):
        return make_adaptation(model, tmp_path / folder, **changes)

    return make


def schedule(one):
    """What the last checkpoint of the first stage says of the rate."""
    [path] = one.folder.glob("round1/stage1/save/*/lr_annealing.ckpt")
    return torch.load(path)


@pytest.mark.parametrize("factor", [1, 2])
def test_the_rate_ends_at_zero(adaptation, factor):
    one = adaptation(run_opts={"grad_accumulation_factor": factor})
    one.run()
    saved = schedule(one)
    assert saved["current_step"] == saved["num_training_steps"]
    # Five batches an epoch; what is left over makes no step.
    assert saved["current_step"] == 2 * (5 // factor)


def test_the_rate_rises_and_falls(adaptation):
    one = adaptation(warmup=0.4)
    rates = []
    brains = one._brain

    def watched(*arguments, **options):
        brain = brains(*arguments, **options)
        step = brain.optimizers_step

        def note():
            rates.append(brain.optimizer.param_groups[0]["lr"])
            step()

        brain.optimizers_step = note
        return brain

    one._brain = watched
    one.run()
    lr = one.stages[0].lr
    rise = [0.0, 0.25, 0.5, 0.75]
    fall = [1 - n / 6 for n in range(6)]
    assert rates == pytest.approx([lr * part for part in rise + fall])


@pytest.mark.parametrize("warmup", [-0.1, 1.0])
def test_a_warmup_must_leave_steps(adaptation, warmup):
    with pytest.raises(SelectionError, match=f"warmup={warmup} of the steps"):
        adaptation(warmup=warmup).run()


def test_a_model_that_went_silent_is_refused(adaptation):
    one = as_model(adaptation(), "A")
    fit = one._fit

    def fit_to_silence(*arguments):
        stopping = fit(*arguments)
        output = [name for name in stopping.best if name.endswith("bias")][-1]
        stopping.best[output] += torch.tensor([1e4, 0.0, 0.0, 0.0])
        return stopping

    one._fit = fit_to_silence
    with pytest.raises(TrainingError, match="After round1/stage1, the model"):
        one.run()
    assert not (one.folder / "model").exists()
    assert not (one.folder / "round1/stage1/best.ckpt").exists()


def test_an_epoch_too_short_for_a_step_is_refused(adaptation):
    one = adaptation(run_opts={"grad_accumulation_factor": 6})
    message = "5 batches, too few for a step with grad_accumulation_factor=6"
    with pytest.raises(DataError, match=message):
        one.run()


def test_what_labels_draw_depends_on_seed_and_round_only(adaptation):
    def drawn(folder, number, **changes):
        one = adaptation(folder, **changes)
        one.label = lambda: {
            name: PseudoLabel([1], torch.rand(()).item()) for name in "01"
        }
        place = one.folder / f"round{number}"
        place.mkdir()
        one._labels(place)
        return (place / "labels.json").read_text()

    first = drawn("first", 1)
    torch.manual_seed(5)
    assert drawn("again", 1) == first
    assert drawn("again", 2) != first
    assert drawn("other", 1, seed=5) != first


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_batch_length": 2.0}, "with max_batch_length=0.7, not 2.0"),
        ({"num_buckets": 2}, "with num_buckets=1, not 2"),
        ({"weight_decay": 0.1}, "with weight_decay=0.0, not 0.1"),
        ({"max_grad_norm": 1.0}, "with max_grad_norm=5.0, not 1.0"),
        (
            {"run_opts": {"max_grad_norm": 2.0}},
            "with max_grad_norm=5.0, not 2.0",
        ),
        (
            {"run_opts": {"grad_accumulation_factor": 2}},
            "with grad_accumulation_factor=1, not 2",
        ),
    ],
)
def test_what_the_schedule_depends_on_cannot_change(
    adaptation, changes, message
):
    adaptation()._check_request("start")
    adaptation()._check_request("start")
    with pytest.raises(SelectionError, match=message):
        adaptation(**changes)._check_request("start")
    one = adaptation()
    assert json.loads((one.folder / "request.json").read_text())["seed"] == 1234


def test_a_start_cannot_count_where_the_last_state_is_taken(adaptation):
    with pytest.raises(SelectionError, match="set start_counts to False"):
        adaptation(start_counts=True).run()


# ------------------------------------------------------------------- replay


def rows(count, place):
    return {
        f"{n:02}": {"wav": f"{place}{n}", "duration": 0.6, "wrd": "GO"}
        for n in range(count)
    }


def as_model(one, name):
    """The stages of another of the yaml file's models."""
    one.stages = [Stage.read(stage) for stage in one.hparams["models"][name]]
    return one


def replayed(one, share):
    return list(one._replayed(Stage("all", 0.1, 1, replay=share)))


def test_home_alone_is_replayed_as_it_always_was(adaptation):
    one = adaptation()
    one.speech = DomainSpeech({}, home=rows(20, "home"))
    rng = np.random.default_rng(one.hparams["seed"])
    expected = rng.permutation(sorted(one.speech.home))[:10]
    assert replayed(one, 0.5) == [f"home/{name}" for name in expected]
    assert replayed(one, 0.0) == []


def test_a_share_is_drawn_from_home_and_replayed_together(adaptation):
    """Names that both have are two utterances."""
    one = adaptation()
    one.speech = DomainSpeech(
        {}, home=rows(20, "home"), replayed=rows(20, "alike")
    )
    assert len(replayed(one, 1.0)) == 40
    half = replayed(one, 0.5)
    assert len(half) == 20
    assert {name.split("/")[0] for name in half} == {"home", "replayed"}
    labelled = one.speech.labelled()
    assert labelled["replayed/03"]["wav"] == "alike3"
    assert labelled["home/03"]["wav"] == "home3"


def test_replayed_speech_is_never_ranked_on(adaptation, monkeypatch):
    read = []
    one = adaptation()
    one.speech = replace(one.speech, replayed=rows(4, "alike"))
    monkeypatch.setattr(one, "_waveforms", lambda rows: read.extend(rows))
    monkeypatch.setattr(domain_adaptation, "rank_neurons", lambda *_, **__: {})
    one.scores()
    assert read == list(one.speech.target)


def test_replayed_speech_will_do_without_home(adaptation):
    one = as_model(adaptation(), "E")
    with pytest.raises(SelectionError, match="or replay_folder and replay_spl"):
        one._check_replay()
    one.speech = replace(one.speech, replayed=rows(4, "alike"))
    one._check_replay()


def test_how_much_is_replayed_cannot_change(adaptation):
    adaptation()._check_request("start")
    one = adaptation()
    one.speech = replace(one.speech, replayed=rows(4, "alike"))
    with pytest.raises(SelectionError, match=r"replayed=0 \(.*, not 4 \("):
        one._check_request("start")


def test_other_speech_of_the_same_names_is_refused(adaptation):
    """Domains that are made of one corpus have its names and lengths."""
    adaptation()._check_request("start")
    one = adaptation()
    rows = one.speech.target.items()
    noisy = {name: row | {"wav": f"noisy/{name}"} for name, row in rows}
    one.speech = replace(one.speech, target=noisy)
    with pytest.raises(SelectionError, match=r"target=6 \(.*, not 6 \("):
        one._check_request("start")


def test_an_optimiser_cannot_change(adaptation):
    adaptation()._check_request("start")
    one = adaptation()
    one.hparams["opt_class"] = functools.partial(torch.optim.SGD, lr=0.1)
    with pytest.raises(SelectionError, match="Adam, not torch.*SGD, lr=0.1"):
        one._check_request("start")


def test_other_splits_may_be_measured_on_in_the_same_folder(adaptation):
    def run(*names, words):
        one = adaptation()
        kept = {n: one.speech.target[n] | {"wrd": words} for n in names}
        one.speech = replace(one.speech, tests={"target/dev": kept})
        return one.run()

    first = run("0", "1", words="GO")
    again = run("0", "1", words="GO")
    assert again == first
    other = run("2", words="GO LEFT")
    for when in ("before", "after"):
        [(name, (_, words))] = other[when]["target/dev"]["utterances"].items()
        assert (name, words) == ("2", 2)


@pytest.mark.parametrize("name", ["A", "B"])
def test_a_stage_that_fails_leaves_the_model_as_it_was(adaptation, name):
    one = as_model(adaptation(), name)
    start = fingerprint(one.encoder)
    fit = one._fit

    def interrupted(*arguments):
        fit(*arguments)
        raise KeyboardInterrupt

    one._fit = interrupted
    with pytest.raises(KeyboardInterrupt):
        one.run()
    assert fingerprint(one.encoder) == start
    one._fit = fit
    one.run()


def test_model_e_replays_and_leaves_a_patch(adaptation):
    one = as_model(adaptation(replay=1.0, epochs=1), "E")
    noise = {
        f"alike{n}": 0.1 * torch.randn(9000, generator=torch.manual_seed(n))
        for n in range(3)
    }
    reads = one.speech.read
    one.speech = replace(
        one.speech,
        replayed=rows(3, "alike"),
        read=lambda path: noise[path] if path in noise else reads(path),
    )
    lessons = []
    lesson = one.lesson

    def watch(*arguments):
        lessons.append(lesson(*arguments))
        return lessons[-1]

    one.lesson = watch
    one.run()
    [names] = [sorted(found) for found in lessons]
    assert names[-3:] == ["replayed/00", "replayed/01", "replayed/02"]
    assert len(names) == 3 + 5  # one of six is held back
    assert (one.folder / "patch.safetensors").is_file()


def test_a_model_in_int8_is_refused(adaptation):
    one = adaptation()
    one.encoder = int8_model(one.encoder)
    with pytest.raises(ExportError, match="is in int8"):
        one.run()


def test_options_of_the_yaml_reach_the_brain(adaptation):
    """The host's run options hold a default value for every option."""
    _, run_opts, _ = sb.parse_arguments(["a.yaml", "--device=cpu"])
    one = adaptation(max_grad_norm=0.5)
    one = DomainAdaptation(one.recogniser, one.speech, one.hparams, run_opts)
    assert one._brain().max_grad_norm == 0.5
    assert one._option("max_grad_norm", 5.0) == 0.5


def test_an_unknown_model_is_named(adaptation):
    one = adaptation()
    hparams = {**one.hparams, "model": "Z"}
    with pytest.raises(SelectionError, match="no model Z; choose one of A, B"):
        DomainAdaptation(one.recogniser, one.speech, hparams)


def test_layers_that_the_model_lacks_are_those_of_the_yaml(adaptation):
    one = adaptation(layers=["*linear9"])
    with pytest.raises(SelectionError, match=r"layers=\['\*linear9'\] do not"):
        one.run()
    assert not (one.folder / "request.json").exists()
