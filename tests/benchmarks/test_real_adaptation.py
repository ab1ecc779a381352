"""The comparison of adaptations, a tiny one from beginning to end.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
import shutil

import pytest

from speechbrain_neuronprune.domain_adaptation import DomainAdaptation
from tests.tiny_recogniser import write_corpus, write_recogniser

QUICK = ["epochs=1", "max_batch_length=8", "hypo=0.2", "hyper=0.2"]


@pytest.fixture
def script(load_benchmark):
    return load_benchmark("real_adaptation")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--arms", "F"], "there is no arm 'F'; use A, B,"),
        (["--arms", "B:lr"], "'lr' is not KEY=VALUE"),
        (["--set", "epochs"], "'epochs' is not KEY=VALUE"),
        (["--tests", "train"], "is what the models learn from"),
        (["--domains", "a/far", "b/far"], "folders of different names"),
    ],
)
def test_bad_options_are_refused(script, capsys, more, message):
    needed = ["--models", "m", "--home", "h", "--domains", "d"]
    with pytest.raises(SystemExit):
        script.parse([*needed, *more])
    assert message in capsys.readouterr().err


def test_an_output_folder_of_other_adaptations_is_refused(script, tmp_path):
    options = script.parse(
        ["--models", "m", "--home", "h", "--domains", "d/far"]
        + ["--output", str(tmp_path), "--arms", "A", "B"]
    )
    script.check_request(options)
    options.arms = ["A", "hypo"]  # may be added
    script.check_request(options)
    options.tests = "dev"
    with pytest.raises(
        SystemExit, match="was begun with tests = test, not dev"
    ):
        script.check_request(options)


@pytest.fixture
def command(tmp_path):
    """A tiny comparison: a model, a domain, two arms."""
    write_corpus(tmp_path / "home", ("train", "test"))
    write_corpus(tmp_path / "noise", ("test", "train"))
    for path in (tmp_path / "noise/train").rglob("*.trans.txt"):
        path.unlink()  # never read
    model = write_recogniser(tmp_path / "tiny")
    return (
        ["--models", str(model), "--home", str(tmp_path / "home")]
        + ["--domains", str(tmp_path / "noise"), "--arms", "B", "layers"]
        + ["--output", str(tmp_path / "output"), "--set", *QUICK]
    )


def test_a_comparison(script, command, tmp_path, monkeypatch, capsys):
    ranked = []
    rank = DomainAdaptation.scores
    monkeypatch.setattr(
        DomainAdaptation,
        "scores",
        lambda self: ranked.append(self) or rank(self),
    )
    script.main(command)
    output = tmp_path / "output"
    rows = json.loads((output / "comparison.json").read_text())["rows"]
    assert list(rows) == ["none", "B", "layers"]
    assert len(ranked) == 1  # for both arms
    assert not (output / "alike").exists()  # no arm needs it
    assert not list(output.rglob("*.ckpt"))
    assert "| layers | all neurons" in capsys.readouterr().out
    monkeypatch.setattr(script, "load_model", None)  # would raise
    script.main(command)


def test_what_is_remembered_changes_no_weights(script, command, tmp_path):
    """An arm comes out the same, whether or not it is the first."""
    script.main(command)
    folder = tmp_path / "output/1/noise/layers"
    name = "patch.safetensors"
    patch = (folder / name).read_bytes()
    script.MEMORY.known.clear()
    again = tmp_path / "again"
    script.main([*command, "--arms", "layers", "--output", str(again)])
    assert (again / "1/noise/layers" / name).read_bytes() == patch


def test_the_bound_alone_knows_what_was_said(script, command, tmp_path):
    train = tmp_path / "noise/train"
    shutil.rmtree(train)
    write_corpus(tmp_path / "noise", ("train",))
    script.main([*command, "--arms", "A", "bound"])
    runs = tmp_path / "output/1/noise"
    labels = {
        arm: json.loads((runs / arm / "round1/labels.json").read_text())
        for arm in ("A", "bound")
    }
    spoken = {
        line.split()[0]: len(line.split()) - 1
        for path in train.rglob("*.trans.txt")
        for line in path.read_text().splitlines()
    }
    heard = {name: len(label[0]) for name, label in labels["bound"].items()}
    assert heard == spoken
    assert labels["A"] != labels["bound"]


# ------------------------------------------------------ home speech made alike


@pytest.fixture
def made_alike(script, monkeypatch):
    """Copies of home speech, instead of an estimate that needs speech; what
    was asked for is listed."""
    asked = []

    def copied(home, target, output):
        asked.append((home.name, target, output))
        for path in home.rglob("*.*"):
            speaker, chapter, *_ = path.stem.split("-")
            chapter = chapter.split(".")[0]
            name = path.name.replace(f"-{chapter}", f"-{chapter}1", 1)
            copy = output / speaker / f"{chapter}1" / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            content = path.read_bytes()
            if path.suffix == ".txt":
                old, new = f"-{chapter}-", f"-{chapter}1-"
                content = content.replace(old.encode(), new.encode())
            copy.write_bytes(content)
        return output

    monkeypatch.setattr(script, "write_alike", copied)
    return asked


def test_only_alike_arms_replay_what_is_alike(
    script, command, tmp_path, monkeypatch, made_alike
):
    learnt = {}
    lesson = DomainAdaptation.lesson

    def watch(self, stage, labelled):
        found = lesson(self, stage, labelled)
        learnt[self.folder.name] = {name.split("/")[0] for name in found}
        return found

    monkeypatch.setattr(DomainAdaptation, "lesson", watch)
    arms = ["D", "alike", "alike-neurons", "alike-random", "alike-alone"]
    script.main([*command, "--arms", *arms])
    heard = {name for name in learnt["D"] if name != "home"}
    assert heard and "replayed" not in heard
    for arm in arms[1:4]:
        assert learnt[arm] == heard | {"home", "replayed"}
    assert learnt["alike-alone"] == {"home", "replayed"}
    output = tmp_path / "output"
    [(split, target, written)] = made_alike
    assert split == "train" and target == tmp_path / "noise/train"
    assert written == output / "alike/noise"
    runs = output / "1/noise"
    assert (runs / "alike-random/patch.safetensors").is_file()
    assert not (runs / "alike/patch.safetensors").exists()
