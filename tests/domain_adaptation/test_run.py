"""An adaptation in one process, from beginning to end.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from dataclasses import replace

import pytest
import torch

from speechbrain_neuronprune.deploy.quantisation import int8_model
from speechbrain_neuronprune.domain_adaptation import DomainAdaptation, run
from speechbrain_neuronprune.domain_adaptation.model import AdaptingModel
from speechbrain_neuronprune.errors import ExportError, SelectionError
from tests.tiny_adaptation import as_model, labelled_rows, measured_rows


def test_replayed_speech_is_never_ranked_on(adaptation, monkeypatch):
    read = []
    one = adaptation()
    one.speech = replace(one.speech, replayed=labelled_rows(4, "alike"))
    monkeypatch.setattr(
        AdaptingModel, "waveforms", lambda self, rows: read.extend(rows)
    )
    monkeypatch.setattr(run, "rank_neurons", lambda *_, **__: {})
    one.scores()
    assert read == list(one.speech.target)


def test_other_splits_may_be_measured_on_in_the_same_folder(adaptation):
    def run(*names, words):
        one = adaptation()
        tests = {"target/dev": measured_rows(*names, words=words)}
        one.speech = replace(one.speech, tests=tests)
        return one.run()

    first = run("0", "1", words="GO")
    again = run("0", "1", words="GO")
    assert again == first
    other = run("2", words="GO LEFT")
    for when in ("before", "after"):
        [(name, (_, words))] = other[when]["target/dev"]["utterances"].items()
        assert (name, words) == ("2", 2)


def test_model_e_replays_and_leaves_a_patch(adaptation):
    one = as_model(adaptation(replay=1.0, epochs=1), "E")
    noise = {
        f"alike{n}": 0.1 * torch.randn(9000, generator=torch.manual_seed(n))
        for n in range(3)
    }
    reads = one.speech.read
    one.speech = replace(
        one.speech,
        replayed=labelled_rows(3, "alike"),
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


def test_an_adaptation_can_be_repeated_byte_by_byte(adaptation):
    def written(folder):
        one = adaptation(folder, epochs=1)
        one.run()
        names = ("selection.pt", "model/model.ckpt", "round1/stage1/best.ckpt")
        return [(one.folder / name).read_bytes() for name in names]

    assert written("first") == written("second")


def test_the_patch_does_not_wait_for_the_model(adaptation, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run, "write_model", full)
    one = adaptation(epochs=1)
    with pytest.raises(OSError, match="No space left"):
        one.run()
    assert (one.folder / "patch.safetensors").is_file()


def test_a_model_in_int8_is_refused(adaptation):
    one = adaptation()
    one.encoder = int8_model(one.encoder)
    with pytest.raises(ExportError, match="is in int8"):
        one.run()


def test_an_unknown_model_is_named(adaptation):
    one = adaptation()
    hparams = {**one.hparams, "model": "Z"}
    with pytest.raises(SelectionError, match="no model Z; choose one of A, B"):
        DomainAdaptation(one.recogniser, one.speech, hparams)
