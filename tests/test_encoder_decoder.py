"""A recogniser with a decoder: groups, plans, sizes, and beam search."""

import copy

import pytest
import torch
from speechbrain.decoders import S2STransformerBeamSearcher
from speechbrain.decoders.scorer import CoverageScorer, ScorerBuilder
from speechbrain.nnet.linear import Linear
from torch import nn

from speechbrain_neuronprune import (
    PruningPlan,
    RetentionSchedule,
    adaptive_dropouts,
    apply_masks,
    attach_adaptive_dropout,
    compact,
    find_units,
    measure_cost,
)
from speechbrain_neuronprune.deploy import narrow
from speechbrain_neuronprune.errors import UnitsError
from speechbrain_neuronprune.expected_size import expected_parameters
from speechbrain_neuronprune.units import count_parameters
from tests.plans import make_plan, randomize

TOKENS = 9
STYLES = ("random", "sparse", "a head", "all heads", "nothing")


@pytest.fixture
def asr(make_asr):
    model = make_asr(tgt_vocab=TOKENS, num_decoder_layers=2)
    randomize(model)
    return model


def masked_and_compact(model, plan):
    return apply_masks(copy.deepcopy(model), plan), compact(model, plan)


def test_the_decoder_follows_the_encoder(asr):
    names = list(find_units(asr))
    assert names[10:15] == [
        "decoder.layers.0.self_attn.query",
        "decoder.layers.0.self_attn.value",
        "decoder.layers.0.multihead_attn.query",
        "decoder.layers.0.multihead_attn.value",
        "decoder.layers.0.pos_ffn",
    ]
    assert len(names) == 20
    assert list(find_units(asr, "encoder.*")) == names[:10]


@pytest.mark.parametrize("encoder", ["transformer", "branchformer"])
def test_other_encoders_have_groups_too(make_asr, encoder):
    model = make_asr(
        encoder_module=encoder, num_encoder_layers=1, csgu_linear_units=12
    )
    names = {
        "transformer": ["self_att.query", "self_att.value", "pos_ffn"],
        "branchformer": [
            "mha_layer.query",
            "mha_layer.value",
            "convolution_branch",
        ],
    }
    expected = [f"encoder.layers.0.{name}" for name in names[encoder]]
    assert list(find_units(model)) == expected


@pytest.mark.parametrize("style", STYLES)
def test_forward_equals_masked(asr, style):
    masked, small = masked_and_compact(asr, make_plan(asr, style))
    src, lengths = torch.randn(2, 30, 20), torch.tensor([1.0, 0.6])
    tokens = torch.tensor([[1, 4, 5, 6], [1, 7, 0, 0]])  # 0 is padding
    with torch.no_grad():
        (memory, out), (small_memory, small_out) = (
            model(src, tokens, lengths) for model in (masked, small)
        )
    valid = torch.arange(30)[None] < (30 * lengths)[:, None]
    assert (memory - small_memory)[valid].abs().max() <= 1e-5
    assert (out - small_out)[tokens > 0].abs().max() <= 1e-5


def searcher_of(model, output, coverage):
    scorer = None
    if coverage:
        scorer = ScorerBuilder(
            full_scorers=[CoverageScorer(vocab_size=TOKENS, threshold=0.1)],
            weights={"coverage": 2.0},
        )
    return S2STransformerBeamSearcher(
        modules=[model, output],
        bos_index=1,
        eos_index=2,
        min_decode_ratio=0.0,
        max_decode_ratio=0.4,
        beam_size=4,
        using_eos_threshold=False,
        length_normalization=True,
        scorer=scorer,
    )


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("coverage", [False, True])
def test_beam_search_finds_the_same_hypotheses(asr, style, coverage):
    """Step by step, with the decoder's attention weights where a scorer asks
    for them."""
    output = Linear(TOKENS, input_size=16)
    src, lengths = torch.randn(3, 24, 20), torch.tensor([1.0, 0.7, 0.5])
    found = []
    for model in masked_and_compact(asr, make_plan(asr, style)):
        search = searcher_of(model, output, coverage)
        with torch.no_grad():
            found.append(search(model.encode(src, lengths), lengths))
    masked, small = found
    assert masked[0] == small[0]
    assert any(len(hypothesis) > 1 for hypothesis in masked[0])
    torch.testing.assert_close(masked[2], small[2], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("target", [0.6, 0.8])
def test_a_size_is_solved_for_over_both_parts(asr, target, tmp_path):
    dense = count_parameters(asr)
    attach_adaptive_dropout(asr, RetentionSchedule(c_start=0.0, c_end=-1.0))
    for gate in adaptive_dropouts(asr).values():
        nn.init.normal_(gate.logits)
    assert 0.5 * dense < expected_parameters(asr) < 0.9 * dense
    plan = PruningPlan.from_retention(asr, target_parameters=target)
    plan.save(tmp_path / "plan.json")
    loaded = PruningPlan.load(tmp_path / "plan.json")
    small = compact(asr, loaded)
    assert count_parameters(small) == pytest.approx(target * dense, rel=0.02)
    assert any(name.startswith("decoder") for name in loaded.keep)


def test_the_architecture_is_rebuilt_from_widths(asr, make_asr):
    plan = make_plan(asr, "a head")
    small = compact(asr, plan)
    dense = make_asr(tgt_vocab=TOKENS, num_decoder_layers=2)
    rebuilt = narrow(dense, plan.widths(asr))
    rebuilt.load_state_dict(small.state_dict())
    example = (torch.randn(1, 20, 20), torch.tensor([[1, 3, 4]]))
    costs = [
        measure_cost(model, example, rounds=1, warmup=0)
        for model in (rebuilt, small, asr)
    ]
    assert costs[0].macs == costs[1].macs < costs[2].macs
    assert costs[0].parameters == count_parameters(small)


def test_tied_layers_give_no_group(asr):
    """A layer or a weight that encoder and decoder share belongs to both."""
    shared = asr.decoder.layers[0].pos_ffn
    asr.decoder.layers[1].pos_ffn = shared
    assert "decoder.layers.1.pos_ffn" not in find_units(asr)
    assert "decoder.layers.0.pos_ffn" not in find_units(asr)
    one, two = (layer.self_attn.att for layer in asr.decoder.layers)
    one.in_proj_weight = two.in_proj_weight
    names = find_units(asr)
    assert not any("self_attn" in name for name in names)
    assert "decoder.layers.0.multihead_attn.value" in names


def test_what_is_not_supported_is_refused_by_name(make_asr):
    model = make_asr(
        encoder_module="transformer",
        attention_type="hypermixing",
        num_decoder_layers=1,
    )
    with pytest.raises(UnitsError, match="encoder.layers.0.self_att is a Hyp"):
        find_units(model)
    assert len(find_units(model, ["ffn", "decoder.*"])) == 7
