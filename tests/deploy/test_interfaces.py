"""Directories for interfaces with a decoder, and what cannot be one.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy

import pytest
import torch
from hyperpyyaml import load_hyperpyyaml, resolve_references
from speechbrain.inference import EncoderASR
from speechbrain.inference.ASR import EncoderDecoderASR, StreamingASR

from speechbrain_neuronprune import (
    PruningPlan,
    apply_masks,
    compact,
    find_units,
)
from speechbrain_neuronprune.deploy import (
    quantise_directory,
    write_narrowed_directory,
)
from speechbrain_neuronprune.deploy.directory import (
    inference_yaml,
    write_model_directory,
)
from speechbrain_neuronprune.deploy.int8 import Int8Weight
from speechbrain_neuronprune.deploy.interfaces import (
    ENCODER_ASR,
    ENCODER_DECODER_ASR,
    STREAMING_ASR,
)
from speechbrain_neuronprune.deploy.sources import open_source
from speechbrain_neuronprune.deploy.transcribe import load_model
from speechbrain_neuronprune.errors import ExportError
from speechbrain_neuronprune.training.tokens import train_tokenizer
from speechbrain_neuronprune.units import count_parameters
from tests.deploy.test_directory import RESULTS
from tests.deploy.test_narrowed_directory import half
from tests.tiny_recogniser import CONFORMER, RECIPE

DECODER = (
    CONFORMER.replace("num_decoder_layers: 0", "num_decoder_layers: 1")
    + """
seq_lin: !new:speechbrain.nnet.linear.Linear
    input_size: 16
    n_neurons: 4
ctc_scorer: !new:speechbrain.decoders.scorer.CTCScorer
    eos_index: 2
    blank_index: 0
    ctc_fc: !ref <ctc_lin>
scorer: !new:speechbrain.decoders.scorer.ScorerBuilder
    full_scorers: [!ref <ctc_scorer>]
    weights:
        ctc: 0.4
valid_search: !new:speechbrain.decoders.S2STransformerBeamSearcher
    modules: [!ref <Transformer>, !ref <seq_lin>]
    bos_index: 1
    eos_index: 2
    min_decode_ratio: 0.0
    max_decode_ratio: 1.0
    beam_size: 3
    using_eos_threshold: False
    length_normalization: True
    scorer: !ref <scorer>
"""
)
NAMES = ("CNN", "Transformer", "seq_lin", "ctc_lin")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A run's yaml, with references resolved as recipes leave it."""
    path = tmp_path_factory.mktemp("run") / "hyperparams.yaml"
    resolved = resolve_references(RECIPE.format(network=DECODER))
    path.write_text(resolved.getvalue(), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def parts(recipe):
    torch.manual_seed(2)
    parts = load_hyperpyyaml(recipe.read_text(encoding="utf-8"))
    parts["normalize"].train()(15 * torch.randn(4, 50, 20) - 20, epoch=0)
    parts["Transformer"].eval()
    return parts


@pytest.fixture(scope="module")
def plan(parts):
    """Half of the encoder's units; the decoder keeps all."""
    groups = find_units(parts["Transformer"].encoder)
    return PruningPlan(
        {
            f"encoder.{name}": torch.arange(group.size) % 2 < 1
            for name, group in groups.items()
        }
    )


def write(
    folder, recipe, parts, plan, interface=ENCODER_DECODER_ASR, names=NAMES
):
    tokenizer = folder / "tokenizer.model"
    train_tokenizer(["GO STOP LEFT"], tokenizer, "word", 4)
    network = {name: parts[name] for name in names}
    write_model_directory(
        folder / "model",
        recipe=recipe,
        normalize=parts["normalize"],
        network=network | {"Transformer": compact(parts["Transformer"], plan)},
        pruned="Transformer",
        tokenizer=tokenizer,
        plan=plan,
        dense=parts["Transformer"],
        results=RESULTS,
        interface=interface,
    )
    return folder / "model"


@pytest.fixture(scope="module")
def directory(recipe, parts, plan, tmp_path_factory):
    return write(tmp_path_factory.mktemp("model"), recipe, parts, plan)


@pytest.fixture(scope="module")
def asr(directory):
    return load_model(directory, interface=EncoderDecoderASR)


def test_a_directory_with_a_decoder_becomes_a_smaller_one(directory, tmp_path):
    masked = load_model(directory, interface=EncoderDecoderASR)
    plan = half(masked.mods.encoder)
    assert any(".decoder." in name for name in plan.keep)
    asr = load_model(directory, interface=EncoderDecoderASR)
    where = (asr, asr.mods.encoder, plan, tmp_path / "small")
    write_narrowed_directory(directory, *where)
    small = load_model(tmp_path / "small", interface=EncoderDecoderASR)
    assert (
        small.mods.decoder.model is small.mods.encoder.Transformer.transformer
    )
    apply_masks(masked.mods.encoder, plan)
    speech = 0.1 * torch.randn(2, 12000), torch.tensor([1.0, 0.7])
    assert small.transcribe_batch(*speech) == masked.transcribe_batch(*speech)
    torch.testing.assert_close(
        small.encode_batch(*speech), masked.encode_batch(*speech)
    )


def test_beam_search_finds_what_it_finds_with_the_masked_model(
    asr, parts, plan
):
    masked = apply_masks(copy.deepcopy(parts["Transformer"]), plan).eval()
    wavs, lengths = 0.1 * torch.randn(2, 12000), torch.tensor([1.0, 0.7])
    words, tokens = asr.transcribe_batch(wavs, lengths)
    compact_model = asr.mods.encoder.Transformer.transformer
    assert asr.mods.decoder.model is compact_model  # and not one of its own
    asr.mods.encoder.Transformer.transformer = masked
    asr.mods.decoder.model = masked
    expected = asr.transcribe_batch(wavs, lengths)
    asr.mods.encoder.Transformer.transformer = compact_model
    asr.mods.decoder.model = compact_model
    assert (words, tokens) == expected
    assert any(tokens)


def test_the_searcher_computes_with_the_weights_that_were_loaded(asr, parts):
    weights = parts["seq_lin"].w.weight
    assert torch.equal(asr.mods.decoder.fc.w.weight, weights)
    scorer = asr.mods.decoder.scorer.full_scorers["ctc"]
    assert torch.equal(scorer.ctc_fc.w.weight, parts["ctc_lin"].w.weight)


def test_the_commands_open_it(asr, directory):
    source = open_source(str(directory))
    assert source.parameters == count_parameters(asr.hparams.model)
    kinds = {group.kind for group in find_units(source.network).values()}
    assert {"ffn", "query", "value", "conv"} <= kinds


def test_it_goes_through_int8(asr, directory, tmp_path):
    int8 = quantise_directory(directory, tmp_path / "int8")
    small = load_model(int8, interface=EncoderDecoderASR)
    names = {
        name
        for name, module in small.hparams.Transformer.named_modules()
        if isinstance(module, Int8Weight)
    }
    for layer in ("self_attn", "multihead_attn"):
        name = f"decoder.layers.0.{layer}.att"
        assert {f"{name}.in_proj_weight", f"{name}.out_proj.weight"} <= names
    tokens, memory = torch.tensor([[1, 3, 2]]), torch.randn(1, 20, 16)
    expected, found = (
        model.hparams.Transformer.decode(tokens, memory, torch.ones(1))[0]
        for model in (asr, small)
    )
    assert not torch.equal(found, expected)
    assert (found - expected).abs().mean() < 0.1 * expected.std()
    words, _ = small.transcribe_batch(torch.randn(1, 8000), torch.ones(1))
    assert len(words) == 1


@pytest.mark.parametrize(
    ("interface", "kind", "names"),
    [
        (ENCODER_ASR, EncoderASR, ("CNN", "Transformer", "ctc_lin")),
        (STREAMING_ASR, StreamingASR, ("CNN", "Transformer", "ctc_lin")),
        (ENCODER_DECODER_ASR, EncoderDecoderASR, NAMES),
    ],
)
def test_the_statistics_of_features_move_with_the_model(
    recipe, parts, plan, tmp_path, interface, kind, names
):
    folder = write(tmp_path, recipe, parts, plan, interface, names)
    model = kind.from_hparams(str(folder), run_opts={"device": "meta"})
    assert model.hparams.normalize.glob_mean.is_meta
    yaml = folder / "hyperparams.yaml"
    new, line = yaml.read_text(), "    normalize: !ref <normalize>\n\nmodel:"
    assert line in new
    yaml.write_text(new.replace(line, "\nmodel:"))  # as it was written before
    old = load_model(folder, "meta", interface=kind)
    assert old.hparams.normalize.glob_std.is_meta


@pytest.mark.parametrize(
    ("interface", "names", "reason"),
    [
        (ENCODER_DECODER_ASR, NAMES, "has no valid_search"),
        (STREAMING_ASR, ("CNN", "Transformer"), "an output layer behind it"),
        (STREAMING_ASR, ("CNN", "ctc_lin"), "needs a TransformerASR"),
    ],
)
def test_what_an_interface_lacks_is_named(
    recipe, parts, tmp_path, interface, names, reason
):
    path = tmp_path / "hyperparams.yaml"
    text = recipe.read_text(encoding="utf-8")
    path.write_text(text.replace("valid_search:", "search:"))
    network = {name: parts[name] for name in names}
    with pytest.raises(ExportError, match=reason):
        inference_yaml(path, network, names[0], {}, interface)
