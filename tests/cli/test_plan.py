"""``neuronprune plan``.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
import re
from types import SimpleNamespace

import pytest
import torch

from speechbrain_neuronprune import AdaptiveDropout, PruningPlan
from speechbrain_neuronprune.cli.plan import _describe
from speechbrain_neuronprune.units import count_parameters
from tests.tiny_run import write_run


@pytest.fixture
def plan(call, tmp_path):
    """Run the command; gives its result."""

    def run(source, *more):
        return call("plan", source, "-o", tmp_path / "plan.json", *more)

    return run


@pytest.fixture
def made(plan, done, tmp_path):
    """Run the command; gives what it says, and the plan."""

    def run(source, *more):
        found = json.loads(done(plan(source, "--json", *more)).stdout)
        return found, PruningPlan.load(tmp_path / "plan.json")

    return run


def test_a_size_from_the_logits(made, paths):
    found, plan = made(paths["run"], "--target=0.8")
    assert found["share"] == pytest.approx(0.8, abs=0.02)
    kept = sum(row["kept"] for row in found["kept"].values())
    assert kept == sum(int(units.sum()) for units in plan.keep.values())
    assert set(found["kept"]) == {"ffn", "query", "value", "conv"}


def test_layers_without_gates_may_have_units_that_cannot_go(partly_gated):
    network = partly_gated(AdaptiveDropout)
    size = count_parameters(network)
    source = SimpleNamespace(
        network=network, other_parameters=0, parameters=size
    )
    plan = PruningPlan.from_retention(network)
    found = _describe(source, plan, "plan.json")
    assert found["share"] == 1.0 and found["kept"].keys() == {"ffn", "conv"}


def test_sizes_are_those_of_the_whole_model(made, paths):
    dense = made(paths["run"], "--threshold=-1e9")[0]["dense_parameters"]
    found, _ = made(paths["run"], f"--target={round(0.7 * dense)}")
    assert found["parameters"] == pytest.approx(0.7 * dense, rel=0.02)


def test_even_heads_and_round_widths(made, paths):
    _, plan = made(
        paths["run"], "--target=0.8", "--round-to=2", "--balance-heads"
    )
    [query] = [u for n, u in plan.keep.items() if n.endswith("query")]
    one, two = (int(head.sum()) for head in query.chunk(2))
    assert one == two and one % 2 == 0


@pytest.mark.parametrize("source", ["model", "run"])
@pytest.mark.parametrize("criterion", ["mbp", "random"])
def test_a_saliency_without_speech(made, paths, source, criterion):
    found, plan = made(
        paths[source], f"--criterion={criterion}", "--fraction=0.5"
    )
    assert {round(float(u.float().mean()), 1) for u in plan.keep.values()} == {
        0.5
    }
    assert found["share"] < 1


SPEECH = ("mi", "mi_lagged", "obs", "activation", "taylor")


@pytest.mark.parametrize(
    "source, criterion",
    [*[("model", one) for one in SPEECH], ("run", "mi"), ("run", "taylor")],
)
def test_a_saliency_on_speech(made, paths, source, criterion):
    _, plan = made(
        paths[source],
        f"--criterion={criterion}",
        "--fraction=0.4",
        f"--data={paths['data']}",
        "--split=train",
        "--minutes=0.02",
        "--window=5",
    )
    names = "linear" if source == "model" else "ffn_module"
    assert plan.keep and all(names in name for name in plan.keep)
    for units in plan.keep.values():
        assert int(units.sum()) == round(0.4 * len(units))


def test_a_saliency_leaves_the_logits_out(made, paths, tmp_path):
    _, one = made(paths["run"], "--criterion=mbp", "--fraction=0.5")
    shut = write_run(tmp_path / "shut", c_end=-50.0, c_start=-50.0)
    _, two = made(shut, "--criterion=mbp", "--fraction=0.5")
    assert all(torch.equal(one.keep[n], two.keep[n]) for n in one.keep)


def test_targets_choose_what_is_scored(made, paths):
    found, plan = made(
        paths["model"],
        "--criterion=mbp",
        "--fraction=0.5",
        "--targets=*linear1",
    )
    assert list(plan.keep) == ["acoustic_model.fc.linear1"]
    assert found["kept"]["fc"] == {"kept": 62, "units": 75}


def test_a_table(plan, done, paths, tmp_path):
    text = done(plan(paths["run"], "--target=0.8")).stdout
    assert text.startswith("units of kind")
    assert text.endswith(f"plan: {tmp_path / 'plan.json'}\n")


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    "more, message",
    [
        ((), "exactly one of --target, --threshold, --fraction"),
        (("--target=0.5", "--threshold=0"), "exactly one of"),
        (("--target=half",), "neither a share"),
        (("--target=0.5", "--criterion=mi"), "needs speech: give --data"),
        (("--target=0.5", "--criterion=age"), "'age' is not one of"),
        (("--target=0.5", "--targets=ffn"), "--targets is for saliencies"),
    ],
)
def test_options_that_make_no_sense(plan, paths, tmp_path, more, message):
    result = plan(paths["run"], *more)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "source, more, message",
    [
        ("run", ["--target=0.01"], "is out of reach"),
        ("model", ["--target=0.5"], "has no adaptive dropout to read a plan"),
        (
            "run",
            ["--criterion=mi", "--data=nowhere", "--split=dev"],
            "The data folder nowhere does not exist",
        ),
        (
            "run",
            ["--criterion=mbp", "--targets=conv"],
            "is of kind conv",
        ),
    ],
)
def test_bad_input_is_one_sentence(
    plan, sentence, paths, tmp_path, source, more, message
):
    if not more[0].startswith("--target="):
        more = [*more, "--fraction=0.5"]
    assert message in sentence(plan(paths[source], *more))
    assert list(tmp_path.iterdir()) == []


def test_what_is_in_reach_is_said_of_the_whole_model(
    plan, made, sentence, paths
):
    message = sentence(plan(paths["run"], "--target=0.1"))
    least = re.search(r"allow ([\d,]+) to", message)[1].replace(",", "")
    found, kept = made(paths["run"], f"--target={least}")
    assert found["parameters"] == int(least)
    assert not any(units.any() for units in kept.keep.values())
    message = sentence(plan(paths["run"], f"--target={int(least) - 99}"))
    assert "is out of reach" in message


def test_an_untrained_model(plan, sentence, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "one: !new:torch.nn.Linear [2, 3]\n"
        "modules:\n"
        "  net: !new:torch.nn.Sequential\n"
        "    - !ref <one>\n"
        "    - !new:torch.nn.Linear [3, 3]\n"
    )
    message = sentence(plan(path, "--target=0.5"))
    assert "describes a model that is not trained" in message


def test_speech_for_an_experiment_of_others(
    plan, done, sentence, paths, experiment
):
    by = ("--fraction=0.5", "--criterion")
    done(plan(experiment, *by, "mbp"))
    speech = (f"--data={paths['data']}", "--split=train")
    message = sentence(plan(experiment, *by, "mi", *speech))
    assert "how speech gets to the network" in message


def test_a_plan_that_cannot_be_written(call, sentence, paths, tmp_path):
    (tmp_path / "file").write_text("in the way")
    output = tmp_path / "file" / "plan.json"
    words = ("plan", paths["run"], "--target=0.8", "-o")
    assert "cannot be written" in sentence(call(*words, output))
    assert "is a folder; give a file" in sentence(call(*words, tmp_path))
