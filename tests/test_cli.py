"""The command line, on a tiny recogniser and some noise.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
import shutil
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from speechbrain_neuronprune import cli
from speechbrain_neuronprune.cli import CommaSeparated, as_share, main
from speechbrain_neuronprune.errors import PlanError
from tests.tiny_recogniser import write_corpus, write_recogniser


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    return {
        "model": str(write_recogniser(folder / "run")),
        "data": str(write_corpus(folder / "corpus")),
    }


@pytest.fixture
def analyze(paths, tmp_path):
    """Run the command with few shares; options may be changed."""

    def run(*more, **changes):
        options = {
            "data": paths["data"],
            "rank": "train",
            "home": "dev",
            "domain": "reverb",
            "criteria": "mi,mbp",
            "shares": "4,20",
            "layers": "*linear[12]",
            "output": str(tmp_path / "analysis"),
            **changes,
        }
        model = str(options.pop("model", paths["model"]))
        arguments = [f"--{name}={value}" for name, value in options.items()]
        return CliRunner().invoke(main, ["analyze", model, *arguments, *more])

    return run


@pytest.fixture
def quick(monkeypatch):
    """Without the plots, which take longest."""

    def write(folder, output=None):
        return f"{folder}/report/report.html"

    monkeypatch.setattr(cli, "write_report", write)


def sentence(result):
    """The one sentence on standard error, of a run that failed."""
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if "it/s" not in line]
    assert lines[-1].startswith("Error: ")
    assert "Traceback" not in result.stderr
    return lines[-1].removeprefix("Error: ")


def test_an_analysis_with_its_report(analyze, tmp_path):
    result = analyze()
    assert result.exit_code == 0, result.output
    text = result.stdout
    assert "without 8 % hypo and 4 % hyper neurons of" in text
    labels = ["unpruned", "linear1 by mi", "linear1 + linear2 by mbp"]
    assert all(f"\n{label} " in text for label in labels)
    folder = tmp_path / "analysis"
    assert f"report: {folder}/report/report.html" in text
    assert (folder / "analysis.json").is_file()
    assert (folder / "report" / "removal-mbp.png").is_file()
    page = (folder / "report" / "report.html").read_text(encoding="utf-8")
    assert "reverb" in page


def test_json_is_all_there_is_on_standard_output(analyze, quick, tmp_path):
    result = analyze("--json", "--mean-ablation")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    content = json.loads((tmp_path / "analysis" / "analysis.json").read_text())
    assert found["measurements"] == content["measurements"]
    assert found["settings"]["shares"] == [0.04, 0.2]
    assert found["settings"]["ablations"] == ["zero", "mean"]
    assert found["splits"]["reverb"]["role"] == "domain"
    assert found["report"].endswith("report.html")
    assert len(found["settings"]["layers"]) == 3


def test_options_reach_the_analysis(analyze, quick):
    result = analyze(
        "--json",
        "--domain=train",
        "--together=*linear2",
        "--rank-minutes=0.01",
        "--seed=3",
        "--window=5",
        "--lag-stride=2",
        hypo=20,
        hyper=8,
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert list(found["splits"]) == ["dev", "reverb", "train"]
    assert len(found["settings"]["layers"]) == 2
    settings = found["settings"]
    assert (settings["hypo"], settings["hyper"]) == (0.2, 0.08)
    assert (settings["seed"], settings["window"]) == (3, 5)
    assert settings["lag_stride"] == 2
    assert found["ranked_on"]["utterances"] < 5


def test_the_report_of_an_analysis(analyze, quick, tmp_path, monkeypatch):
    assert analyze().exit_code == 0
    monkeypatch.undo()
    folder = str(tmp_path / "analysis")
    out = str(tmp_path / "out")
    arguments = ["report", folder, "--output", out, "--json"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"report": f"{out}/report.html"}
    assert (tmp_path / "out" / "report.html").is_file()


def test_the_report_goes_into_the_run_folder(quick, tmp_path):
    result = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert result.stdout == f"{tmp_path}/report/report.html\n"


def test_help_has_an_example():
    for command in ("analyze", "report"):
        result = CliRunner().invoke(main, [command, "--help"])
        assert result.exit_code == 0
        assert f"neuronprune {command} results/" in result.stdout
    text = CliRunner().invoke(main, ["-h"]).stdout
    assert "analyze" in text and "report" in text


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"data": "nowhere"}, "The data folder nowhere does not exist"),
        ({"rank": "test"}, "has no split test; it has: dev, reverb, train"),
        ({"domain": "dev"}, "The split dev is given more than once"),
        ({"criteria": "mi,mutual"}, "There is no criterion 'mutual'; use"),
        ({"criteria": ","}, "No criterion is given"),
        ({"shares": "4,140"}, "140 % of a layer's neurons cannot be removed"),
        ({"shares": "1"}, "less than one of the 25 neurons of group"),
        ({"hypo": 70, "hyper": 40}, "70 % hypo and 40 % hyper neurons overl"),
        ({"layers": "dnn"}, "The target 'dnn' matches no unit group"),
        (
            {"layers": "acoustic_model.fc.output"},
            "The layer acoustic_model.fc.output has no fully connected succ",
        ),
        ({"together": "*linear3"}, "linear3 is to be pruned together"),
        ({"window": 0}, "A time window of 0 frames is empty"),
        ({"lag-stride": 0}, "Every 0-th frame is none; give lag_stride=1"),
    ],
)
def test_bad_input_is_one_sentence(analyze, tmp_path, changes, message):
    assert message in sentence(analyze(**changes))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_model(analyze, tmp_path):
    message = sentence(analyze(model=tmp_path / "none"))
    assert message.startswith(f"The folder {tmp_path / 'none'} is no model")


def test_no_run_to_report_on(tmp_path):
    result = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert "is not a run: it holds none of" in sentence(result)


def test_shares_that_are_no_numbers(analyze):
    result = analyze(shares="2,many")
    assert result.exit_code == 2
    assert "'2,many' are no numbers" in result.stderr


def test_commands_that_are_added_fail_alike():
    @main.command("fail")
    def fail():
        raise PlanError("The plan is bad; make a better one.")

    try:
        result = CliRunner().invoke(main, ["fail"])
    finally:
        main.commands.pop("fail")
    assert sentence(result) == "The plan is bad; make a better one."


# -------------------------------------------------------------------- pieces


def test_lists_with_commas():
    numbers = CommaSeparated(float, "numbers")
    assert numbers.convert(" 2, 4.5,", None, None) == (2.0, 4.5)
    assert numbers.convert((1.0,), None, None) == (1.0,)
    with pytest.raises(click.BadParameter, match="'a' are no numbers"):
        numbers.convert("a", None, None)


def test_percentages_are_shares_as_one_writes_them():
    shares = [as_share(float(percent)) for percent in range(101)]
    assert shares == [float(f"{n // 100}.{n % 100:02d}") for n in range(101)]


HPARAMS = Path(__file__).parents[1] / "hparams" / "adapt_hyper_hypo.yaml"
QUICK = ("epochs=1", "max_batch_length=8", "hypo=0.2", "fraction=1.0")


@pytest.fixture
def adapt(paths, tmp_path):
    """Run the command for one epoch; options may be added."""

    def run(*more):
        arguments = ["adapt", paths["model"], f"--hparams={HPARAMS}"]
        arguments += [f"--target={paths['data']}", "--target-split=reverb"]
        arguments += ["--target-test=dev", f"--output={tmp_path / 'adapted'}"]
        arguments += [f"--set={change}" for change in QUICK]
        return CliRunner().invoke(main, [*arguments, *more])

    return run


def test_adapt_writes_a_model_and_a_patch(adapt, tmp_path):
    done = adapt("--json")
    assert done.exit_code == 0, done.output
    results = json.loads(done.stdout[done.stdout.index("{") :])
    assert results["after"]["target/dev"]["wer"] >= 0
    for name in ("patch.safetensors", "model/model.ckpt", "adaptation.json"):
        assert (tmp_path / "adapted" / name).is_file()


def test_adapt_reads_no_transcripts_of_what_it_adapts_to(
    adapt, paths, tmp_path
):
    data = tmp_path / "data"
    shutil.copytree(paths["data"], data)
    for path in (data / "reverb").rglob("*.trans.txt"):
        path.unlink()
    done = adapt(f"--target={data}", "--set=model=scaling")
    assert done.exit_code == 0, done.output
    assert "target/dev: WER" in done.output


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--set=model"], "'model' is not KEY=VALUE"),
        (["--home-split=dev"], "home splits, but no --home folder"),
        (["--hparams=nowhere.yaml"], "Cannot read nowhere.yaml"),
        (["--target-split=nowhere"], "has no split nowhere; it has"),
        (["--set=neurons=loud"], "There is no choice 'loud' of neurons"),
        (["--set=model=D"], "Model D replays home speech"),
    ],
)
def test_adapt_explains_what_is_wrong(adapt, more, message):
    done = adapt(*more)
    assert done.exit_code != 0
    assert message in " ".join(done.output.split())
