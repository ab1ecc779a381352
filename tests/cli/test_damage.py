"""Damaged models, and models of another architecture, in every command.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import shutil

import pytest

from tests.tiny_run import HPARAMS

# Command -> what follows the model
ON_MODELS = {
    "units": (),
    "plan": ("--criterion=mbp", "--fraction=0.5", "-o", "OUT/plan.json"),
    "compact": ("--threshold=0", "-o", "OUT/small"),
    "analyze": ("--data=DATA", "--rank=train", "--home=dev", "-o", "OUT/a"),
    "adapt": (
        f"--hparams={HPARAMS / 'adapt_hyper_hypo.yaml'}",
        "--target=DATA",
        "--target-split=reverb",
        "-o",
        "OUT/adapted",
    ),
}
ON_RUNS = {
    **{name: ON_MODELS[name] for name in ("units", "plan", "compact")},
    "sweep": ("--sizes=0.9", "--data=DATA", "--split=dev", "-o", "OUT/sweep"),
}


@pytest.fixture
def refused(call, sentence, paths, tmp_path):
    """Run a command on a model; gives the sentence."""
    output = tmp_path / "output"
    output.mkdir()
    places = {"DATA": paths["data"], "OUT": str(output)}

    def run(command, model, words):
        for name, place in places.items():
            words = [word.replace(name, place) for word in words]
        message = sentence(call(command, model, *words))
        written = [path for path in output.rglob("*") if path.is_file()]
        assert written == []
        return message

    return run


@pytest.mark.parametrize("command", ON_MODELS)
def test_damaged_weights_of_a_model_directory(
    command, refused, paths, tmp_path
):
    model = shutil.copytree(paths["model"], tmp_path / "model")
    (model / "model.ckpt").write_bytes(b"no weights at all")
    assert str(model) in refused(command, model, ON_MODELS[command])


@pytest.mark.parametrize("command", ON_RUNS)
@pytest.mark.parametrize("damage", ["bytes", "architecture"])
def test_checkpoints_that_do_not_fit(command, damage, refused, paths, tmp_path):
    run = shutil.copytree(paths["run"], tmp_path / "run")
    if damage == "bytes":
        (run / "save" / "CKPT+last" / "model.ckpt").write_bytes(b"nothing")
    else:
        yaml = run / "hyperparams.yaml"
        yaml.write_text(yaml.read_text().replace("d_ffn: 24", "d_ffn: 32"))
    message = refused(command, run, ON_RUNS[command])
    assert f"{run}/save/CKPT+last cannot be loaded" in message


@pytest.mark.parametrize("command", [*ON_RUNS, "analyze", "adapt", "report"])
def test_a_model_that_is_not_there(command, refused):
    words = (ON_MODELS | ON_RUNS | {"report": ()})[command]
    assert "nowhere" in refused(command, "nowhere", words)
