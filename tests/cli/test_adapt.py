"""``neuronprune adapt``, for one epoch.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from speechbrain_neuronprune.cli import main
from tests.tiny_run import HPARAMS

YAML = HPARAMS / "adapt_hyper_hypo.yaml"
QUICK = ("epochs=1", "max_batch_length=8", "hypo=0.2", "fraction=1.0")


@pytest.fixture
def adapt(paths, tmp_path):
    """Run the command for one epoch; options may be added."""

    def run(*more):
        arguments = ["adapt", paths["model"], f"--hparams={YAML}"]
        arguments += [f"--target={paths['data']}", "--target-split=reverb"]
        arguments += ["--target-test=dev", f"--output={tmp_path / 'adapted'}"]
        arguments += [f"--set={change}" for change in QUICK]
        return CliRunner().invoke(main, [*arguments, *more])

    return run


def test_adapt_writes_a_model_and_a_patch(adapt, tmp_path):
    done = adapt("--json")
    assert done.exit_code == 0, done.output
    results = json.loads(done.stdout)
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


def test_adapt_replays_other_labelled_speech(adapt, paths, tmp_path):
    done = adapt(
        "--set=model=E", f"--replay={paths['data']}", "--replay-split=train"
    )
    assert done.exit_code == 0, done.output
    request = json.loads((tmp_path / "adapted/request.json").read_text())
    assert request["home"].startswith("0 (")
    assert not request["replayed"].startswith("0 (")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--set=model"], "'model' is not KEY=VALUE"),
        (["--set=layers=["], "'layers=[' has no VALUE"),
        ([f"--hparams={__file__}"], "cannot be"),
        (["--home-split=dev"], "home splits, but no --home folder"),
        (["--replay-split=dev"], "replay splits, but no --replay folder"),
        (["--hparams=nowhere.yaml"], "Cannot read nowhere.yaml"),
        (["--target-split=nowhere"], "has no split nowhere; it has"),
        (["--set=neurons=loud"], "There is no choice 'loud' of neurons"),
        (["--set=model=D"], "Model D replays home speech"),
        (["--target-test=reverb"], "is also among the speech to be adapted to"),
    ],
)
def test_adapt_explains_what_is_wrong(adapt, more, message):
    done = adapt(*more)
    assert done.exit_code != 0
    assert message in " ".join(done.output.split())


def test_an_output_in_the_starting_model_begins_nothing(adapt, paths):
    output = Path(paths["model"], "adapted")
    done = adapt(f"--output={output}")
    assert done.exit_code == 1
    assert "would mix the adapted model with the starting model" in done.output
    assert not output.exists()
