"""The comparison of adaptations: its arithmetic on made-up figures, and one
tiny comparison from beginning to end.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
import shutil

import pytest

from tests.tiny_recogniser import write_corpus, write_recogniser

# Errors in an utterance of 10 words: at home and in the domain
BEFORE = (1, 4)
AFTER = {"A": (3, 2), "B": (2, 2), "random": (1, 3)}
QUICK = ["epochs=1", "max_batch_length=8", "hypo=0.2", "hyper=0.2"]


@pytest.fixture
def script(load_benchmark):
    return load_benchmark("real_adaptation")


def measured(errors, words=10):
    """A split of 20 utterances that are all alike."""
    utterances = {f"u{i:02}": [errors, words] for i in range(20)}
    return {"wer": 100 * errors / words, "utterances": utterances}


def write_figures(path, after, more=0):
    """What an adaptation leaves; ``more`` errors everywhere."""
    results = {
        when: {
            "home/test": measured(home + more),
            "target/test": measured(new + more),
        }
        for when, (home, new) in (("before", BEFORE), ("after", after))
    }
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(results))


@pytest.fixture
def options(script, tmp_path):
    """Two models, of which the second makes one error more, two domains and
    three arms."""
    options = script.parse(
        ["--models", "one", "two", "--home", "home", "--domains", "d/far"]
        + ["d/loud", "--output", str(tmp_path), "--arms", *AFTER]
    )
    for arm, after in AFTER.items():
        for seed in (1, 2):
            for domain in options.domains:
                folder = script.run_folder(tmp_path, seed, domain, arm)
                write_figures(folder / "adaptation.json", after, seed - 1)
    return options


def test_rates_and_changes(script, options):
    rows = script.summarize(options)["rows"]
    assert list(rows) == ["none", "A", "B", "random"]
    assert rows["none"]["home"]["seeds"] == [10.0, 20.0]
    assert rows["A"]["home"]["mean"] == 35.0
    assert rows["A"]["home"]["change"]["seeds"] == [200.0, 100.0]
    assert rows["B"]["new"]["change"]["seeds"] == [-50.0, -40.0]
    assert rows["B"]["domains"]["loud"]["seeds"] == [20.0, 30.0]
    assert rows["B"]["new"]["spread"] == pytest.approx(50**0.5)


def test_differences_to_the_references(script, options):
    rows = script.summarize(options)["rows"]
    assert rows["B"]["home"]["to A"]["difference"] == pytest.approx(-10.0)
    assert rows["B"]["new"]["to random"]["high"] == pytest.approx(-10.0)
    assert rows["B"]["new"]["to A"] == dict.fromkeys(
        ("difference", "low", "high"), 0.0
    )
    assert "to A" not in rows["A"]["new"]


def test_utterances_of_one_name_are_one(script, options):
    """In one domain B is better than A, in the other as much worse: copies of
    the same recordings say nothing more together than that."""
    for domain, after in (("far", (2, 1)), ("loud", (2, 3))):
        for seed in (1, 2):
            folder = script.run_folder(options.output, seed, domain, "B")
            (folder / "adaptation.json").unlink()
            folder.rmdir()
            write_figures(folder / "adaptation.json", after, seed - 1)
    gap = script.summarize(options)["rows"]["B"]["new"]["to A"]
    assert gap == dict.fromkeys(("difference", "low", "high"), 0.0)


def test_errors_are_summed_by_name(script):
    parts = [{"a": [1, 5], "b": [0, 4]}, {"a": [2, 5], "c": [3, 3]}]
    expected = {"a": [3, 10], "b": [0, 4], "c": [3, 3]}
    assert script.sum_by_name(parts) == expected


def test_loss_at_home_is_a_share_of_that_of_a(script, options):
    rows = script.summarize(options)["rows"]
    shares = {name: row["home"]["loss of A's"] for name, row in rows.items()}
    assert shares == {"none": 0.0, "A": 1.0, "B": 0.5, "random": 0.0}
    options.arms = ["B"]
    [none, alone] = script.summarize(options)["rows"].values()
    assert alone["home"]["loss of A's"] is None
    assert "to A" not in alone["home"]


def test_no_errors_before_have_no_relative_change(script):
    assert script.relative_change([1.0, 2.0], [0.0, 4.0]) is None
    assert script.relative_change([2.0], [4.0])["mean"] == -50.0
    assert script.change_cell(None) == ""


def test_tables_and_plot(script, options, tmp_path):
    summary = script.summarize(options)
    arms, domains = script.markdown(summary).split("\n\n")
    line = arms.splitlines()[4]
    assert line.startswith("| B | hyper and hypo neurons | 25.00 ± 7.07 |")
    assert "| +75.0 ± 35.4 | 50% | -10.00 [-10.00, -10.00] |" in line
    assert domains.splitlines()[0] == "| arm | far | loud |"
    assert domains.splitlines()[4].count("25.00 ± 7.07") == 2
    script.plot(summary, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_an_arm_may_carry_changes(script, tmp_path):
    arm = script.known_arm("B:lr=0.003,epochs=5")
    changes = script.changes_of(arm, {"epochs": 2, "patience": 1})
    own = {"model": "B", "lr": 0.003, "epochs": 5, "patience": 1}
    assert changes == script.COMMON | own
    folder = script.run_folder(tmp_path, 1, "reverb+noisy10", arm)
    assert folder == tmp_path / "1/reverb+noisy10/B_lr=0.003_epochs=5"
    assert script.describe(arm) == "hyper and hypo neurons"


def test_every_arm_has_a_learning_rate(script):
    assert list(script.LEARNING_RATES) == list(script.ARMS)
    for arm in script.ARMS:
        assert set(script.changes_of(arm, {})) & {"lr", "lr_all"}


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


def test_an_output_folder_of_other_adaptations_is_refused(script, options):
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
    rank = script.DomainAdaptation.scores
    monkeypatch.setattr(
        script.DomainAdaptation,
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


def test_the_alike_arms(script):
    arms = [arm for arm in script.ARMS if script.is_alike(arm)]
    assert arms == ["alike", "alike-neurons", "alike-random", "alike-alone"]
    changes = {arm: script.changes_of(arm, {}) for arm in arms}
    assert all(one["replay"] == 1.0 for one in changes.values())
    assert [one["model"] for one in changes.values()] == ["D", "E", "E", "D"]
    assert changes["alike-random"]["neurons"] == "random"
    assert changes["alike"] == changes["alike-alone"]
    assert changes["alike"]["lr_all"] == 0.0007
    assert list(script.ARMS)[-4:] == arms  # behind all others


def test_only_alike_arms_replay_what_is_alike(
    script, command, tmp_path, monkeypatch, made_alike
):
    learnt = {}
    lesson = script.DomainAdaptation.lesson

    def watch(self, stage, labelled):
        found = lesson(self, stage, labelled)
        learnt[self.folder.name] = {name.split("/")[0] for name in found}
        return found

    monkeypatch.setattr(script.DomainAdaptation, "lesson", watch)
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
