"""The analysis as a whole: resumable, repeatable, whole or refused.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
import shutil

import pytest
import torch

from speechbrain_neuronprune.analysis import (
    AnalysisSettings,
    analyse,
    read_speech,
)
from speechbrain_neuronprune.analysis import run as module
from speechbrain_neuronprune.analysis.scoring import Scorer
from speechbrain_neuronprune.deploy.transcribe import load_model
from speechbrain_neuronprune.errors import (
    DataError,
    SelectionError,
    UnitsError,
)
from speechbrain_neuronprune.fingerprint import fingerprint
from tests.tiny_recogniser import CONFORMER, write_recogniser

SETTINGS = AnalysisSettings(
    ("mi", "random"), (0.04, 0.4), layers="*linear[12]", mean_ablation=True
)


@pytest.fixture
def run(recogniser, speech, tmp_path):
    """Analyse with changes to the settings; into the same folder."""

    def analyse_again(settings=SETTINGS, domains=("reverb",), **changes):
        splits = [speech(name) for name in ("dev", *domains)]
        arguments = {
            "recogniser": recogniser,
            "rank_speech": speech("train"),
            "splits": splits,
            "output": tmp_path / "analysis",
            "settings": settings,
        }
        return analyse(**{**arguments, **changes})

    return analyse_again


@pytest.fixture
def count(monkeypatch):
    """The removals that were measured."""
    measured = []
    measure = Scorer.count

    def counted(scorer, removal):
        measured.append(removal)
        return measure(scorer, removal)

    monkeypatch.setattr(Scorer, "count", counted)
    return measured


def folder(tmp_path):
    return tmp_path / "analysis"


def test_files_and_contents(run, tmp_path):
    analysis = run()
    names = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.*")}
    assert names == {
        "analysis/analysis.json",
        "analysis/ranking.json",
        "analysis/measurements/dev.jsonl",
        "analysis/measurements/reverb.jsonl",
    }
    text = (folder(tmp_path) / "analysis.json").read_text()
    assert json.loads(text) == analysis
    assert list(analysis["groups"]) == [
        "acoustic_model.fc.linear1",
        "acoustic_model.fc.linear2",
    ]
    assert analysis["settings"]["layers"][-1] == list(analysis["groups"])
    rows = analysis["measurements"]
    assert len(rows) == 2 * (1 + 3 * 2 * (2 * (2 * 3 + 1) + 2))
    assert len({json.dumps(row, sort_keys=True) for row in rows}) == len(rows)
    for row in rows:
        assert row["wer"] == 100 * row["word_errors"] / row["words"]
        assert row["words"] == 10
    zero_and_mean = {row["ablation"] for row in rows}
    assert zero_and_mean == {"zero", "mean"}


def test_errors_can_be_paired(run, tmp_path):
    analysis = run()
    path = folder(tmp_path) / "measurements" / "reverb.jsonl"
    header, *lines = map(json.loads, path.read_text().splitlines())
    assert len(header["utterances"]) == len(header["words"]) == 5
    totals = {
        json.dumps(line["removed"]): sum(line["errors"]["word_errors"])
        for line in lines
    }
    assert all(len(line["errors"]["word_errors"]) == 5 for line in lines)
    for row in analysis["measurements"]:
        if row["split"] == "reverb":
            removed = {key: row[key] for key in lines[0]["removed"]}
            assert totals[json.dumps(removed)] == row["word_errors"]


def test_a_rerun_measures_nothing_and_says_the_same(run, count, monkeypatch):
    first = run()
    total = len(count)
    assert total == len(first["measurements"])
    monkeypatch.setattr(module, "rank", None)
    monkeypatch.setattr(module, "Scorer", None)
    assert run() == first
    assert len(count) == total


def test_a_stopped_run_goes_on(run, count, tmp_path, monkeypatch):
    expected = run()
    total = len(count)
    shutil.rmtree(folder(tmp_path))
    count.clear()
    append = module.MeasurementLog.append

    def stopped(log, *arguments):
        append(log, *arguments)
        if len(count) == total // 2 + 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(module.MeasurementLog, "append", stopped)
    with pytest.raises(KeyboardInterrupt):
        run()
    assert not (folder(tmp_path) / "analysis.json").exists()
    assert run() == expected
    assert len(count) == total


def test_more_shares_and_domains_are_added(run, count, speech):
    run(domains=())
    before = len(count)
    settings = AnalysisSettings(
        ("mi", "random"), (0.04, 0.2, 0.4), layers="*linear[12]"
    )
    wider = run(settings)
    on_dev = [row for row in wider["measurements"] if row["split"] == "dev"]
    assert len({row["share"] for row in on_dev}) == 5  # none, both, three
    new = len(count) - before
    # zero ablation of one more share at home, all of them in the new domain
    assert new == 3 * 7 + len(wider["measurements"]) - len(on_dev)


def test_the_recogniser_is_left_as_it_was(run, recogniser):
    encoder = recogniser.mods.encoder
    before, wavs = fingerprint(encoder), torch.randn(1, 8000)
    expected = recogniser.encode_batch(wavs, torch.ones(1))
    run()
    assert recogniser.mods.encoder is encoder
    assert fingerprint(encoder) == before
    assert torch.equal(recogniser.encode_batch(wavs, torch.ones(1)), expected)


def test_names_of_splits_may_be_paths(recogniser, corpus, speech, tmp_path):
    elsewhere = read_speech(tmp_path, str(corpus / "reverb"))
    settings = AnalysisSettings(("mbp",), (0.04,), layers="*linear1")
    analyse(
        recogniser, speech("train"), [elsewhere], tmp_path / "out", settings
    )
    [path] = (tmp_path / "out" / "measurements").iterdir()
    assert path.name.endswith("%2Freverb.jsonl")


def test_a_conformer(speech, tmp_path):
    """Its feed-forward modules, behind convolutions that run once."""
    modules = ("CNN", "Transformer", "ctc_lin")
    directory = write_recogniser(
        tmp_path / "run", CONFORMER, modules, "Transformer"
    )
    conformer = load_model(str(directory))
    calls = []
    conformer.mods.encoder.CNN.register_forward_hook(lambda *_: calls.append(1))
    settings = AnalysisSettings(("mi", "obs"), (0.4,), mean_ablation=True)
    analysis = analyse(
        conformer, speech("train"), [speech("dev")], tmp_path / "out", settings
    )
    block = "Transformer.transformer.encoder.layers.0"
    assert list(analysis["groups"]) == [
        f"{block}.ffn_module1",
        f"{block}.ffn_module2",
    ]
    assert len(analysis["measurements"]) == 1 + 3 * 2 * (2 * (3 + 1) + 1)
    assert len(calls) == 4  # ranking, twice activations, measuring
    errors = {row["character_errors"] for row in analysis["measurements"]}
    assert len(errors) > 1


# ------------------------------------------------------------------ bad input


def test_no_split(run, tmp_path):
    with pytest.raises(DataError, match="no split to measure error rates on"):
        run(splits=[])


def test_a_split_twice(run):
    with pytest.raises(DataError, match="split dev is given more than once"):
        run(domains=("dev",))


@pytest.mark.parametrize(
    "changes, error, message",
    [
        ({"shares": (0.01,)}, SelectionError, "less than one of the 25"),
        ({"hyper": 0.01}, SelectionError, "less than one of the 25"),
        ({"shares": (0.9,)}, SelectionError, "middle of group .* has"),
        ({"layers": "*.output"}, UnitsError, "matches no unit group"),
        (
            {"layers": "acoustic_model.fc.output"},
            UnitsError,
            "has no fully connected successor",
        ),
        (
            {"layers": "*linear1", "together": "*linear*"},
            UnitsError,
            "linear2 is to be pruned together",
        ),
    ],
)
def test_what_cannot_be_done_leaves_nothing(
    run, tmp_path, monkeypatch, changes, error, message
):
    monkeypatch.setattr(module, "rank", None)  # which takes long
    settings = AnalysisSettings(("mbp",), **{"shares": (0.04,), **changes})
    with pytest.raises(error, match=message):
        run(settings)
    assert list(tmp_path.iterdir()) == []


def test_speech_that_ends_early_leaves_nothing(
    run, recogniser, corpus, speech, tmp_path
):
    own = tmp_path / "own"
    shutil.copytree(corpus / "reverb", own / "reverb")
    [path, *_] = sorted(own.glob("reverb/*/*/*.flac"))
    path.write_bytes(path.read_bytes()[:-2000])
    splits = [speech("dev"), read_speech(own, "reverb")]
    with pytest.raises(DataError, match=f"{path.name} (is trunc|cannot be)"):
        run(splits=splits)
    assert not folder(tmp_path).exists()


def test_a_folder_about_another_ranking(run, tmp_path):
    run()
    before = (folder(tmp_path) / "analysis.json").read_bytes()
    settings = AnalysisSettings(("mbp",), (0.04,), seed=1)
    with pytest.raises(DataError, match="something else .their seed differs"):
        run(settings)
    assert (folder(tmp_path) / "analysis.json").read_bytes() == before


def test_a_folder_about_other_speech(run, speech):
    run()
    with pytest.raises(DataError, match="their ranking_speech differs"):
        run(rank_speech=speech("dev"))


def test_an_output_that_is_in_a_file(run, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot be written .*file is a file"):
        run(output=tmp_path / "file" / "out")


def test_a_disk_that_is_full(run, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_json", full)
    with pytest.raises(DataError, match="written .*No space left on device"):
        run()
