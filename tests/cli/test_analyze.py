"""``neuronprune analyze``, on a tiny recogniser and some noise.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import importlib
import json

import pytest
from click.testing import CliRunner

from speechbrain_neuronprune.cli import main
from speechbrain_neuronprune.cli.analyze import as_share


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

    module = importlib.import_module("speechbrain_neuronprune.cli.analyze")
    monkeypatch.setattr(module, "write_report", write)


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
        "--frame-stride=2",
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
    assert settings["frame_stride"] == 2
    assert found["ranked_on"]["utterances"] < 5


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
        ({"frame-stride": 0}, "Every 0-th frame is none; give frame_stride=1"),
    ],
)
def test_bad_input_is_one_sentence(
    analyze, sentence, tmp_path, changes, message
):
    assert message in sentence(analyze(**changes))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_model(analyze, sentence, tmp_path):
    message = sentence(analyze(model=tmp_path / "none"))
    assert message.startswith(f"The folder {tmp_path / 'none'} is no model")


def test_shares_that_are_no_numbers(analyze):
    result = analyze(shares="2,many")
    assert result.exit_code == 2
    assert "'2,many' are no numbers" in result.stderr


def test_percentages_are_shares_as_one_writes_them():
    shares = [as_share(float(percent)) for percent in range(101)]
    assert shares == [float(f"{n // 100}.{n % 100:02d}") for n in range(101)]
