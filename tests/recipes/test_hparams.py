"""The yaml files: they load, have the promised sizes, and match each other.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from pathlib import Path

import pytest
import torch
import yaml
from hyperpyyaml import load_hyperpyyaml

from speechbrain_neuronprune import adaptive_dropouts, find_units
from speechbrain_neuronprune.units import count_parameters

HPARAMS = Path(__file__).parents[2] / "hparams"
NAMES = sorted(path.stem for path in HPARAMS.glob("conformer*.yaml"))
OTHERS = {"tfcnn_ctc_mini": 13, "crdnn_ctc_mini": 12, "tfcnn_ctc": 13}
# The kinds of units of those that are no Conformers
KINDS = {"crdnn_ctc_mini": {"conv", "fc"}}
PARTS = ("CNN", "Transformer", "ctc_lin")


def load(name, tmp_path, **changes):
    overrides = {"data_folder": "unused", "output_folder": str(tmp_path)}
    if name.endswith("_finetune"):
        overrides["starting_point"] = "unused"
    path = HPARAMS / f"{name}.yaml"
    return load_hyperpyyaml(path.read_text(), overrides | changes)


def size(hparams):
    return sum(count_parameters(hparams[part]) for part in PARTS)


class Tags(yaml.SafeLoader):
    """Reads a tag and what it stands before as a pair."""


def _pair(loader, tag, node):
    if isinstance(node, yaml.ScalarNode):
        return tag, loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return tag, loader.construct_sequence(node, deep=True)
    return tag, loader.construct_mapping(node, deep=True)


Tags.add_multi_constructor("!", _pair)


def tree(name):
    return yaml.load((HPARAMS / f"{name}.yaml").read_text(), Loader=Tags)


@pytest.mark.parametrize("name", NAMES)
def test_a_yaml_loads_and_recognises(name, tmp_path):
    # Two blocks have every layer there is; the large ones would take long.
    hparams = load(name, tmp_path, num_encoder_layers=2)
    features = hparams["compute_features"](torch.randn(2, 8000))
    hidden = hparams["CNN"](features)
    lengths = torch.tensor([1.0, 0.5])
    encoded, _ = hparams["Transformer"](hidden, None, lengths)
    log_probs = hparams["log_softmax"](hparams["ctc_lin"](encoded))
    tokens = hparams.get("output_neurons", hparams["vocab_size"])
    assert log_probs.shape == (2, 13, tokens)
    assert bool(adaptive_dropouts(hparams["Transformer"])) != name.endswith(
        "_dense"
    )


@pytest.mark.parametrize("name", OTHERS)
def test_an_acoustic_model_loads_and_recognises(name, tmp_path):
    hparams = load(name, tmp_path)
    features = hparams["compute_features"](torch.randn(2, 8000))
    lengths = torch.tensor([1.0, 0.5])
    output = hparams["acoustic_model"](features, lengths)
    assert output.shape == (2, OTHERS[name], hparams["vocab_size"])
    kinds = {g.kind for g in find_units(hparams["acoustic_model"]).values()}
    assert kinds == KINDS.get(name, {"fc"})


def test_every_yaml_is_tested():
    names = {path.stem for path in HPARAMS.glob("*.yaml")}
    assert names == {*NAMES, *OTHERS, "adapt_hyper_hypo"}


@pytest.mark.parametrize(
    "name, parameters, tolerance",
    [
        ("conformer_ctc_mini", 941_017, 0.0),
        ("conformer_ctc_small", 9_449_552, 0.0),
        ("conformer_ctc_large", 111_000_000, 0.01),
        ("conformer_ctc_mini_dense", 0.45 * 941_017, 0.01),
        ("conformer_ctc_mini_finetune", 941_017, 0.0),
        ("conformer_ctc_small_dense", 0.45 * 9_449_552, 0.01),
        ("conformer_ctc_large_dense", 50_100_000, 0.01),
    ],
)
def test_the_sizes(name, parameters, tolerance, tmp_path):
    found = size(load(name, tmp_path))
    assert found == pytest.approx(parameters, rel=tolerance)


def test_the_papers_share_of_prunable_parameters(tmp_path):
    hparams = load("conformer_ctc_large", tmp_path)
    groups = find_units(hparams["Transformer"]).values()
    prunable = sum(g.size * g.parameters_per_unit for g in groups)
    assert 0.92 < prunable / size(hparams) < 0.93


def test_the_papers_schedule(tmp_path):
    hparams = load("conformer_ctc_large", tmp_path, num_encoder_layers=1)
    schedule = hparams["retention_schedule"]
    assert (schedule(0), schedule(100_000), schedule(50_000)) == (10, -2, 4)
    gates = adaptive_dropouts(hparams["Transformer"]).values()
    assert all(gate.scale == 10.0 for gate in gates)
    parameters = [torch.nn.Parameter(torch.zeros(1))]
    for name in ("opt_class", "logits_opt_class"):
        [group] = hparams[name](parameters).param_groups
        assert group["weight_decay"] == pytest.approx(2e-5)
    assert hparams["threshold"] == -2 and hparams["target_parameters"] is None


@pytest.mark.parametrize("name", [n for n in NAMES if n.endswith("_dense")])
def test_a_control_differs_in_size_and_gates_alone(name):
    control, pruned = tree(name), tree(name.removesuffix("_dense"))
    assert control["Transformer"] == pruned["Transformer"][1]["model"]
    differing = {key for key in control if control[key] != pruned[key]}
    assert differing - {"transformer_dropout"} == {
        "experiment_name",
        "d_model",
        "d_ffn",
        "Transformer",
    }
    assert pruned.keys() - control.keys() == {
        "c_start",
        "c_end",
        "hold_steps",
        "decline_steps",
        "logits_scale",
        "logits_lr",
        "logits_pull",
        "target_parameters",
        "steer_size",
        "threshold",
        "round_to",
        "balance_heads",
        "other_targets",
        "retention_schedule",
        "settle_step",
        "shrink",
        "shrink_every",
        "shrink_below",
        "logits_opt_class",
        "gate",
        "inform_spread",
    }


def test_fine_tuning_differs_in_start_steps_and_distillation_alone(tmp_path):
    name = "conformer_ctc_mini"
    fine, whole = tree(f"{name}_finetune"), tree(name)
    assert whole.keys() <= fine.keys()
    assert {key for key in whole if fine[key] != whole[key]} == {
        "experiment_name",
        "number_of_epochs",
        "short_steps",
        "hold_steps",
        "decline_steps",
        "settle_step",
        "brain_class",
    }
    assert fine.keys() - whole.keys() == {
        "starting_point",
        "distill_posteriors",
        "distill_temperature",
        "distill_blocks",
    }
    steps, dense_steps = (
        load(each, tmp_path)["total_steps"]
        for each in (f"{name}_finetune", name)
    )
    assert steps <= dense_steps / 3


def differing(name, other="conformer_ctc_mini"):
    """The entries that are others, and those that there are besides."""
    one, two = tree(name), tree(other)
    assert two.keys() <= one.keys()
    return {key for key in two if one[key] != two[key]}, one.keys() - two.keys()


def test_informed_differs_in_gates_decisions_and_masks_alone():
    gates = {"gate", "c_end", "logits_lr", "logits_pull", "transformer_dropout"}
    decisions = {"hold_steps", "decline_steps", "settle_step", "shrink"}
    sizes = {"target_parameters", "steer_size"}
    masks = {
        f"{axis}_drop_{what}"
        for axis in ("time", "freq")
        for what in ("count", "length")
    }
    assert differing("conformer_ctc_mini_informed") == (
        {"experiment_name", *gates, *decisions, *sizes, *masks},
        set(),
    )


def test_streaming_differs_in_chunks_alone():
    assert differing("conformer_ctc_mini_streaming") == (
        {"experiment_name", "brain_class"},
        {
            "chunk_size",
            "left_context_chunks",
            "dynchunktrain_config_sampler",
        },
    )


def test_a_transformer_differs_in_its_decoder_alone(tmp_path):
    name = "conformer_transformer_mini"
    changed, more = differing(name)
    assert changed == {
        "experiment_name",
        "brain_class",
        "Transformer",
        "ctc_lin",
        "modules",
        "model",
    }
    assert more == {
        "num_decoder_layers",
        "bos_index",
        "eos_index",
        "output_neurons",
        "seq_lin",
        "seq_cost",
        "ctc_weight",
        "ctc_scorer",
        "scorer",
        "search_ctc_weight",
        "beam_size",
        "valid_search",
    }
    searcher = load(name, tmp_path)["valid_search"]
    assert searcher.fc.w.out_features == 43
