"""``neuronprune sweep``.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import csv
import json
import shutil

import pytest
import soundfile

from speechbrain_neuronprune.deploy import sweep as sweeping
from speechbrain_neuronprune.deploy.transcribe import load_model
from speechbrain_neuronprune.units import count_parameters
from tests.tiny_run import write_run


@pytest.fixture
def sweep(call, paths, tmp_path):
    """Run the command; options may be added."""

    def run(*more, source=None, data=None, split="dev", sizes="0.9,0.8"):
        source, data = source or paths["run"], data or paths["data"]
        words = ["sweep", source, f"--data={data}"]
        words += [f"--split={split}", f"--sizes={sizes}"]
        return call(*words, "-o", tmp_path / "sweep", *more)

    return run


@pytest.fixture
def measured(monkeypatch):
    """The names of the sizes that are measured."""
    names = []
    measure = sweeping.measure_sizes

    def noted(brain, plans, *others):
        names.extend(plans)
        return measure(brain, plans, *others)

    monkeypatch.setattr(sweeping, "measure_sizes", noted)
    return names


def test_sizes_errors_and_costs(sweep, done, tmp_path):
    more = ("--split=train", "--export=0.8", "--json")
    found = json.loads(done(sweep(*more)).stdout)
    rows = found["sizes"]
    assert [row["size"] for row in rows] == ["dense", "0.9", "0.8"]
    assert [row["share"] for row in rows] == pytest.approx(
        [1.0, 0.9, 0.8], abs=0.02
    )
    assert [set(row["wer"]) for row in rows] == [{"dev", "train"}] * 3
    assert all(row["latency_ms"] > 0 for row in rows)
    macs = [row["macs"] for row in rows]
    assert macs == sorted(macs, reverse=True)
    content = json.loads((tmp_path / "sweep" / "sweep.json").read_text())
    for row in rows:
        split = content["sizes"][row["size"]]["splits"]["dev"]
        errors, words = map(
            sum, zip(*split["utterances"].values(), strict=True)
        )
        assert row["wer"]["dev"] == pytest.approx(100 * errors / words)
    with open(found["table"], newline="") as file:
        table = list(csv.DictReader(file))
    assert [float(row["wer dev"]) for row in table] == [
        row["wer"]["dev"] for row in rows
    ]
    assert (tmp_path / "sweep" / "sweep.png").read_bytes()[1:4] == b"PNG"
    model = load_model(found["models"]["model-0.8"])
    assert count_parameters(model.mods.encoder) == rows[2]["parameters"]


def test_a_sweep_goes_on(sweep, done, measured, monkeypatch):
    measure = sweeping.measure_sizes

    def stop(brain, plans, *others):
        if "0.8" in plans:
            raise KeyboardInterrupt
        return measure(brain, plans, *others)

    with monkeypatch.context() as patch:
        patch.setattr(sweeping, "measure_sizes", stop)
        assert sweep().exit_code == 1
    assert measured == ["dense", "0.9"]
    done(sweep())
    assert measured == ["dense", "0.9", "0.8"]
    text = done(sweep(sizes="0.8,0.85")).stdout
    assert measured == ["dense", "0.9", "0.8", "0.85"]
    sizes = [line.split()[0] for line in text.splitlines()[1:5]]
    assert sizes == ["dense", "0.9", "0.85", "0.8"]


def test_a_finished_sweep_is_not_timed_again(sweep, done, monkeypatch):
    first = done(sweep("--json")).stdout
    monkeypatch.delattr(sweeping, "measure_costs")
    assert done(sweep("--json")).stdout == first


def test_a_model_of_another_sweep_is_not_taken_for_its_own(
    sweep, done, tmp_path
):
    done(sweep("--export=0.9", sizes="0.9"))
    model = tmp_path / "sweep" / "model-0.9"
    first = (model / "model.ckpt").read_bytes()
    (tmp_path / "sweep" / "sweep.json").unlink()
    other = write_run(tmp_path / "other", d_ffn=32)
    done(sweep("--export=0.9", source=other, sizes="0.9"))
    second = (model / "model.ckpt").read_bytes()
    assert second != first
    age = (model / "model.ckpt").stat().st_mtime_ns
    done(sweep("--export=0.9", source=other, sizes="0.9"))
    assert (model / "model.ckpt").stat().st_mtime_ns == age


# ------------------------------------------------------------------ bad input


def test_a_sweep_of_something_else(sweep, done, sentence, tmp_path):
    done(sweep(sizes="0.9"))
    before = (tmp_path / "sweep" / "sweep.json").read_text()
    assert "is about another model" in sentence(sweep(split="reverb"))
    other = write_run(tmp_path / "other", d_ffn=32)
    assert "is about another model" in sentence(sweep(source=other))
    path = tmp_path / "sweep" / "sweep.json"
    assert path.read_text() == before
    path.write_text(before[:100])
    assert f"The sweep {path} is damaged" in sentence(sweep())
    path.write_text("[]")
    assert f"The sweep {path} is damaged" in sentence(sweep())


def test_other_audio_of_the_same_words_is_other_speech(
    sweep, done, sentence, paths, tmp_path
):
    copy = shutil.copytree(paths["data"], tmp_path / "copy")
    done(sweep(sizes="0.9"))
    done(sweep(sizes="0.9", data=copy))  # wherever it lies
    path = sorted((copy / "dev").rglob("*.flac"))[0]
    wave, rate = soundfile.read(path, dtype="int16")
    soundfile.write(path, wave // 2, rate)
    assert "other speech" in sentence(sweep(sizes="0.9", data=copy))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"sizes": "0.9,0.01"}, "of the model's 4,442 parameters"),
        ({"split": "test"}, "has no split test; it has: dev, reverb, train"),
        ({"source": "nowhere"}, "The folder nowhere is no run of the recipes"),
    ],
)
def test_bad_input_is_one_sentence(sweep, sentence, tmp_path, changes, message):
    assert message in sentence(sweep(**changes))
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_would_overwrite_something(sweep, sentence, tmp_path):
    notes = tmp_path / "sweep" / "model-0.9" / "notes.txt"
    notes.parent.mkdir(parents=True)
    notes.write_text("mine")
    message = sentence(sweep("--export=0.9", sizes="0.9"))
    assert "holds other things, which would be" in message
    assert [path.name for path in notes.parent.iterdir()] == ["notes.txt"]
    assert not (tmp_path / "sweep" / "sweep.json").exists()


def test_a_file_in_the_way(sweep, sentence, tmp_path):
    (tmp_path / "sweep").write_text("in the way")
    assert "is no folder; give another --output" in sentence(sweep())


def test_a_run_without_gates(sweep, sentence, tmp_path):
    run = write_run(tmp_path / "dense", "conformer_ctc_mini_dense")
    assert "has no adaptive dropout" in sentence(sweep(source=run))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"sizes": "0.9,small"}, "'0.9,small' are no sizes"),
        ({"sizes": ","}, "at least one of --sizes"),
    ],
)
def test_sizes_that_are_none(sweep, changes, message):
    result = sweep(**changes)
    assert result.exit_code == 2
    assert message in result.stderr


def test_exports_are_some_of_the_sizes(sweep):
    result = sweep("--export=0.7")
    assert result.exit_code == 2
    assert "0.7 of --export is none of --sizes" in result.stderr
