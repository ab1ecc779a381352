"""The shell commands that the README and the documents show are run, with
options added where they would take longer than seconds.

What only CI can run (make) or a network allows (pip) is checked, and so are
the commands of weeks and of hours: the large recipes and the benchmarks.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import configparser
import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from speechbrain_neuronprune.cli import main
from speechbrain_neuronprune.errors import NeuronPruneError
from speechbrain_neuronprune.files import write_json
from tests import tiny_recogniser
from tests.documents import DOCUMENTS, RECIPES, ROOT, shell_calls
from tests.tiny_recogniser import RESULTS, write_corpus, write_recogniser
from tests.tiny_run import CONFORMER, write_run
from tests.tiny_stock import train, write_yaml

NETWORK = ("CNN", "Transformer", "ctc_lin")
# Wide enough in its units that a fifth of the parameters can stay
WIDE = {"d_ffn": 256}
TINY = CONFORMER | WIDE | {"n_mels": 20, "vocab_size": 4}
STEPS = {
    "number_of_epochs": 2,
    "steps_per_epoch": 4,
    "short_steps": 0,
    "lr_warmup_steps": 2,
    "max_batch_length": 8,
    "number_of_checkpoints": 1,
}
PRUNING = {"hold_steps": 2, "decline_steps": 2, "settle_step": 5}
# The words of the small embedded corpus; one that learns would first of all
# learn to be silent, and could not be adapted
BABBLING = {"vocab_size": 39, "lr": 1e-6}
ADAPTING = {"max_batch_length": 8, "hypo": 0.2, "hyper": 0.2, "fraction": 1.0}
TFCNN = {"fc_units": 32, "context": 10, "time_filters": 4}
# What a recipe is told besides, to take seconds
RECIPE_HASTE = {
    "conformer_ctc_mini": {**TINY, **STEPS, **PRUNING},
    "conformer_ctc_mini_informed": {**TINY, **STEPS, **PRUNING},
    "conformer_ctc_mini_finetune": {**TINY, **STEPS},
    "tfcnn_ctc_mini": {**TFCNN, **STEPS, **BABBLING},
    "adapt_hyper_hypo": {**ADAPTING, "epochs": 1},
}
# The same for a command
HASTE = {
    "neuronprune adapt": [
        f"--set={name}={value}"
        for name, value in RECIPE_HASTE["adapt_hyper_hypo"].items()
    ],
    "neuronprune-mini": ["--small"],
}
# Which word of a call is the folder that it makes, and that must be new
OUTPUTS = {"neuronprune-mini": 1, "neuronprune-domain": 2}
SCRIPTS = ROOT / "recipes/LibriSpeech/ASR/CTC"
CALLS = [
    words for path in (*DOCUMENTS, RECIPES) for _, words in shell_calls(path)
]


def programs(name: str, path: str = "") -> list[list[str]]:
    """All calls of a program, as words, whose first one begins so."""
    return [
        words
        for words in CALLS
        if words[0] == name and words[1].startswith(path)
    ]


# Of recipes/LibriSpeech/README.md, which are too large to be run
LARGE = [*programs("python", "train_"), *programs("python", "adapt_")]
BENCHMARKS = programs("python", "benchmarks/")


def setup() -> configparser.ConfigParser:
    """setup.cfg."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


# ------------------------------------------------------------------ running


def add_pauses(folder: Path) -> None:
    """Let every recording end with half a second of faint noise."""
    pause = 1e-3 * np.random.default_rng(0).standard_normal(8000)
    for path in folder.rglob("*.flac"):
        wave, rate = soundfile.read(path)
        soundfile.write(path, np.concatenate([wave, pause]), rate)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """A folder with speech of home and of a new domain, which is noise."""
    folder = tmp_path_factory.mktemp("corpora")
    splits = ("train", "dev", "test")
    write_corpus(folder / "mini-corpus", [f"{name}-clean" for name in splits])
    write_corpus(folder / "mini-domain", splits)
    add_pauses(folder)
    return folder


@pytest.fixture
def workplace(corpora, tmp_path, monkeypatch):
    """A folder as it is after `make demo` and `make demo-adapt`, but with
    untrained models, and after a training with SpeechBrain's own script."""
    for name in ("recipes", "hparams"):
        (tmp_path / name).symlink_to(ROOT / name)
    results = shutil.copytree(corpora, tmp_path / "results")
    conformer = tiny_recogniser.CONFORMER
    write_recogniser(results / "mini", conformer, NETWORK, "Transformer")
    write_run(results / "mini", **WIDE)
    write_json(results / "mini" / "results.json", RESULTS)
    write_run(results / "mini-dense", "conformer_ctc_mini_dense", **WIDE)
    write_recogniser(results / "mini-tfcnn")
    write_run(results / "mini-tfcnn", "tfcnn_ctc_mini", **TFCNN)
    output = results / "conformer_small/7775"
    train(write_yaml(tmp_path), {"output_folder": str(output)})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_neuronprune(words: list[str]) -> None:
    """Run a command of `neuronprune`."""
    haste = HASTE.get(" ".join(words[:2]), [])
    result = CliRunner().invoke(main, [*words[1:], *haste])
    assert result.exit_code == 0, result.output


def run_installed(words: list[str]) -> None:
    """Run a command that is installed beside it, afresh."""
    if words[0] in OUTPUTS:
        shutil.rmtree(words[OUTPUTS[words[0]]], ignore_errors=True)
    scripts = setup()["options.entry_points"]["console_scripts"]
    target = re.search(rf"^{words[0]} = (.*):(.*)$", scripts, re.MULTILINE)
    module = importlib.import_module(target[1])
    run = getattr(module, target[2])
    assert run([*words[1:], *HASTE.get(words[0], [])]) == 0


def run_recipe(words: list[str]) -> None:
    """Run a recipe in a process of its own."""
    script, yaml, *options = words[1:]
    given = dict(option[2:].split("=", 1) for option in options)
    given |= RECIPE_HASTE[Path(yaml).stem]
    if given.get("data_folder", "").startswith("/path/to"):
        given["data_folder"] = "results/mini-corpus"
    shutil.rmtree(given.get("output_folder", ""), ignore_errors=True)
    done = subprocess.run(
        [sys.executable, script, yaml, "--noprogressbar", "--device=cpu"]
        + [f"--{name}={value}" for name, value in given.items()],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout


def run_call(words: list[str]) -> None:
    """Run what can be run in a test; the rest is checked below."""
    if words[0] == "neuronprune":
        run_neuronprune(words)
    elif words[0].startswith("neuronprune-"):
        run_installed(words)
    elif words[0] == "python" and words[1].startswith("recipes/"):
        run_recipe(words)


@pytest.mark.parametrize(
    "document",
    [path for path in DOCUMENTS if shell_calls(path)],
    ids=lambda path: path.name,
)
def test_commands_run(document, workplace, hasty):
    for _, words in shell_calls(document):
        run_call(words)


# ------------------------------------------------------------------ checking


@pytest.mark.parametrize("words", programs("make"), ids=" ".join)
def test_make_has_the_target(words):
    dry = [words[0], "--dry-run", *words[1:]]
    done = subprocess.run(dry, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "python" in done.stdout


@pytest.mark.parametrize("words", programs("pip"), ids=" ".join)
def test_extras_and_pins_are_there(words):
    command, constraint, pins, editable, what = words[1:]
    assert (command, constraint, editable) == ("install", "-c", "-e")
    assert (ROOT / pins).is_file()
    extra = re.fullmatch(r"\.\[(\w+)\]", what)[1]
    assert extra in setup()["options.extras_require"]


@pytest.mark.parametrize("words", LARGE, ids=lambda words: words[1])
def test_recipes_have_the_options_that_commands_give(words):
    script, recipe, *options = words[1:]
    assert (SCRIPTS / script).is_file()
    text = (ROOT / recipe).read_text(encoding="utf-8")
    known = re.findall(r"^(\w+):", text, re.MULTILINE)
    given = [re.fullmatch(r"--(\w+)=.*", option)[1] for option in options]
    assert given and not set(given) - set(known)


@pytest.mark.parametrize("words", BENCHMARKS, ids=lambda words: words[1])
def test_benchmarks_know_what_they_are_told(words, load_benchmark, monkeypatch):
    module = load_benchmark(Path(words[1]).stem)
    if hasattr(module, "parse"):
        module.parse(words[2:])
    else:  # it gets as far as the data that are not there
        monkeypatch.setattr(sys, "argv", words[1:])
        with pytest.raises((OSError, NeuronPruneError)):
            module.main()
