"""What adaptations gained and lost: the arithmetic, on made-up figures.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
from types import SimpleNamespace

import pytest

# Errors in an utterance of 10 words: at home and in the domain
BEFORE = (1, 4)
AFTER = {"A": (3, 2), "B": (2, 2), "random": (1, 3)}


@pytest.fixture
def script(load_benchmark):
    return load_benchmark("adaptation_results")


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
    options = SimpleNamespace(
        models=["one", "two"],
        domains={"far": "d/far", "loud": "d/loud"},
        tests="test",
        arms=list(AFTER),
        output=tmp_path,
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


def test_folders_carry_the_changes_of_an_arm(script, tmp_path):
    arm = "B:lr=0.003,epochs=5"
    folder = script.run_folder(tmp_path, 1, "reverb+noisy10", arm)
    assert folder == tmp_path / "1/reverb+noisy10/B_lr=0.003_epochs=5"
