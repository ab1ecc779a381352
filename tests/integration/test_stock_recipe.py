"""An unmodified recipe prunes: trained, killed, resumed, compacted, evaluated.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch
from hyperpyyaml import load_hyperpyyaml

from speechbrain_neuronprune import (
    PruningPlan,
    adaptive_dropouts,
    apply_masks,
    find_units,
)
from speechbrain_neuronprune.deploy.experiment import (
    open_experiment,
    write_compact_experiment,
)
from speechbrain_neuronprune.units import count_parameters
from tests.stock_recipes import additions, informed_lines
from tests.tiny_stock import RECIPE, batches, train, write_yaml

STEERED = """
steered: !apply:speechbrain_neuronprune.steer_size
    model: !ref <gated>
    target_parameters: 0.8
"""
STEPS = 6  # three epochs of four batches, two of them per step


def schedule_of(brain):
    gates = adaptive_dropouts(brain.modules.Transformer).values()
    (schedule,) = {gate.schedule for gate in gates}
    return schedule


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that was killed in its second epoch and resumed: the yaml, the
    step at which it was killed, the Brain, the folder."""
    folder = tmp_path_factory.mktemp("stock")
    yaml = write_yaml(folder)
    overrides = {"output_folder": str(folder / "run")}
    with pytest.raises(KeyboardInterrupt):
        train(yaml, overrides, stop_at=3)
    return train(yaml, overrides), folder


def test_the_schedule_follows_and_resumes(trained):
    brain, _ = trained
    last = brain.checkpointer.find_checkpoint()
    state = torch.load(last.paramfiles["model"])
    steps = {int(v) for k, v in state.items() if k.endswith("steps_taken")}
    assert steps == {STEPS}


def test_stock_averages_keep_the_step(trained):
    """SpeechBrain's average of checkpoints sums in place."""
    brain, _ = trained
    saved = [
        int(next(v for k, v in state.items() if k.endswith("steps_taken")))
        for state in (
            torch.load(checkpoint.paramfiles["model"])
            for checkpoint in brain.checkpointer.find_checkpoints()
        )
    ]
    assert schedule_of(brain).step == sum(saved) // len(saved)


def test_every_logit_learned(trained):
    brain, _ = trained
    for name, gate in adaptive_dropouts(brain.modules.Transformer).items():
        assert gate.logits.ne(0).all(), name


def test_the_compact_experiment_evaluates_as_the_masked_model(trained):
    _, folder = trained
    experiment = open_experiment(folder / "run")
    network = experiment.network
    scores = {n: g.beta() for n, g in adaptive_dropouts(network).items()}
    plan = PruningPlan.from_scores(scores, fraction=0.5)
    output = write_compact_experiment(experiment, plan, folder / "compact")

    small = train(output / "hyperparams.yaml")
    assert small.optimizer_step == STEPS  # nothing more was trained
    assert not adaptive_dropouts(small.modules.Transformer)
    assert count_parameters(small.modules) < count_parameters(network)

    features, lengths, _, _ = next(iter(batches(3)))
    apply_masks(network, plan)
    hparams = experiment.hparams
    features = hparams["normalize"].eval()(features, lengths, epoch=9)
    outputs = []
    for cnn, transformer, linear in (network, small.hparams.model):
        encoded, _ = transformer(cnn(features), None, lengths)
        outputs.append(linear(encoded))
    torch.testing.assert_close(*outputs, rtol=0, atol=1e-5)


def test_the_compact_experiment_trains_further(trained, tmp_path):
    _, folder = trained
    experiment = open_experiment(folder / "run")
    keep = {
        name: torch.arange(group.size) < group.size // 2
        for name, group in find_units(experiment.network).items()
    }
    output = write_compact_experiment(
        experiment, PruningPlan(keep), tmp_path / "compact"
    )
    brain = train(output / "hyperparams.yaml", {"epoch_counter": {"limit": 4}})
    older, newer = brain.checkpointer.list_checkpoints()
    assert {older.path.name, newer.path.name} > {"CKPT+compact"}


CRDNN = """
output_folder: !PLACEHOLDER
enc: !new:speechbrain.lobes.models.CRDNN.CRDNN
    input_shape: [null, null, 8]
    cnn_blocks: 1
    cnn_channels: [2]
    rnn_layers: 1
    rnn_neurons: 4
    dnn_blocks: 2
    dnn_neurons: 6
"""


@pytest.mark.parametrize("recipe", additions())
def test_at_most_six_lines_gate_each_stock_recipe(recipe, tmp_path):
    lines = additions()[recipe]
    assert len(lines.splitlines()) <= 6
    model = "enc" if "seq2seq" in recipe else "Transformer"
    network = CRDNN if model == "enc" else RECIPE
    overrides = {"output_folder": str(tmp_path)}
    hparams = load_hyperpyyaml(network + lines, overrides)
    gates = adaptive_dropouts(hparams[model])
    assert gates
    assert all(gate.schedule.follower for gate in gates.values())


@pytest.mark.parametrize("stop_at", [1, 3])
def test_gates_that_begin_informed(tmp_path, stop_at):
    """Killed before or after they have begun, resumed, compacted; steered."""
    lines = informed_lines(hold=2, steps=2) + STEERED
    yaml = write_yaml(tmp_path, lines)
    overrides = {"output_folder": str(tmp_path / "run")}
    with pytest.raises(KeyboardInterrupt):
        train(yaml, overrides, stop_at=stop_at)
    brain = train(yaml, overrides)
    gates = adaptive_dropouts(open_experiment(tmp_path / "run").network)
    assert schedule_of(brain).step > 2
    for gate in gates.values():
        assert gate.informed and gate.logits.unique().numel() == gate.size
    betas = torch.cat([gate.beta().flatten() for gate in gates.values()])
    assert 3.0 < betas.std().item() < 6.0
    experiment = open_experiment(tmp_path / "run")
    plan = PruningPlan.from_retention(experiment.network)
    folder = write_compact_experiment(experiment, plan, tmp_path / "compact")
    small = open_experiment(folder).network
    assert count_parameters(small) < count_parameters(experiment.network)
    assert not adaptive_dropouts(small)
