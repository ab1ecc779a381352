"""The pass: any batching gives the same, and the model is left as it was.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math
import weakref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from speechbrain.nnet.attention import RelPosEncXL, RelPosMHAXL
from torch import nn

from speechbrain_neuronprune.errors import SaliencyError
from speechbrain_neuronprune.saliency import (
    CRITERIA,
    measure_activations,
    measure_saliency,
    rank_neurons,
)
from speechbrain_neuronprune.saliency.positions import find_speech
from speechbrain_neuronprune.saliency.windows import window_sums


def assert_close(one, two, rel):
    for criterion in one:
        for group, scores in one[criterion].items():
            got, wanted = scores.tolist(), two[criterion][group].tolist()
            where = f"{criterion} of {group}"
            assert got == pytest.approx(wanted, rel=rel, abs=rel), where


def in_batches(utterances, sizes, pad, extra, filler):
    """Cut a list of utterances into batches of the given sizes, over and
    over."""
    batches, start = [], 0
    while start < len(utterances):
        size = sizes[len(batches) % len(sizes)]
        chunk = utterances[start : start + size]
        batches.append(pad(chunk, extra, filler))
        start += size
    return batches


@settings(max_examples=30)
@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    order=st.randoms(use_true_random=False),
    sizes=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    extra=st.integers(0, 5),
    window=st.integers(1, 40),
    filler=st.sampled_from([0.0, 1e3, math.nan]),
)
def test_batching_order_and_padding_do_not_count(
    make_stack, draw_speech, pad, lengths, order, sizes, extra, window, filler
):
    stack = make_stack(5, 7, 6, 4)
    utterances = draw_speech(lengths)
    alone = [one.unsqueeze(0) for one in utterances]
    order.shuffle(shuffled := list(utterances))
    batches = in_batches(shuffled, sizes, pad, extra, filler)
    one, two = (
        measure_saliency(stack, each, CRITERIA, window=window)
        for each in (alone, batches)
    )
    assert list(one) == list(CRITERIA)
    assert_close(one, two, rel=1e-6)


def run_conformer(encoder, x, lengths):
    padding = None
    if lengths is not None:
        frames = (lengths * x.shape[1]).round()
        padding = torch.arange(x.shape[1]) >= frames.unsqueeze(1)
    positions = None
    if isinstance(encoder.layers[0].mha_layer, RelPosMHAXL):
        positions = RelPosEncXL(x.shape[-1])(x)
    return encoder(x, src_key_padding_mask=padding, pos_embs=positions)


@pytest.mark.parametrize("attention", ["RelPosMHAXL", "regularMHA"])
@settings(max_examples=5)
@given(
    lengths=st.lists(st.integers(3, 20), min_size=2, max_size=4),
    size=st.integers(2, 4),
    extra=st.integers(0, 5),
)
def test_a_conformer_in_any_batches(
    make_encoder, draw_speech, pad, attention, lengths, size, extra
):
    """Its feed-forward modules see (time, batch, features). The kernel is
    narrow as the stock convolution reads the padding next to an utterance."""
    torch.manual_seed(3)
    encoder = make_encoder(attention_type=attention, kernel_size=1)
    utterances = [one.float() for one in draw_speech(lengths, features=16)]
    alone = [one.unsqueeze(0) for one in utterances]
    batches = in_batches(utterances, [size], pad, extra, 1.0)
    one, two = (
        measure_saliency(
            encoder, each, CRITERIA, window=4, forward=run_conformer
        )
        for each in (alone, batches)
    )
    assert_close(one, two, rel=1e-4)
    groups = [f"layers.{n}.ffn_module{m}" for n in (0, 1) for m in (1, 2)]
    assert list(one["mi"]) == groups


def test_a_conformers_units_equal_a_loop(make_encoder, draw_speech):
    """One utterance of a batch at a time, by the module's own layers."""
    encoder = make_encoder(num_layers=1)
    x = torch.stack(draw_speech([11, 11, 11], features=16)).float()
    scores = rank_neurons(encoder, [x], "activation", forward=run_conformer)
    norm, module = encoder.layers[0].ffn_module1[:2]
    with torch.no_grad():
        hidden = [module.ffn[:2](norm(one)).abs().mean(0) for one in x]
    wanted = torch.stack(hidden).mean(0).tolist()
    got = scores["layers.0.ffn_module1"].tolist()
    assert got == pytest.approx(wanted, rel=1e-5)


def test_several_criteria_read_the_speech_once(make_stack, draw_speech):
    stack = make_stack(5, 7, 6, 4)
    speech = draw_speech([9, 12])
    once = measure_saliency(stack, iter(speech), CRITERIA)
    for criterion in CRITERIA:
        alone = {criterion: rank_neurons(stack, speech, criterion)}
        assert_close(alone, {criterion: once[criterion]}, rel=1e-6)


@pytest.mark.parametrize("criterion", ["mi_lagged", "taylor"])
def test_past_batches_are_let_go(make_stack, draw_speech, criterion):
    """Memory does not grow with the amount of speech."""
    past, alive = [], []

    def forward(model, x, lengths):
        past.append(weakref.ref(x))
        alive.append(sum(one() is not None for one in past))
        return model(x)

    rank_neurons(
        make_stack(5, 7, 6, 4), draw_speech([9] * 6), criterion, forward=forward
    )
    assert len(alive) == 6
    assert max(alive) <= 2


class Takes(nn.Module):
    """Remembers how it was called."""

    def __init__(self):
        super().__init__()
        self.stack = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 4))
        self.calls = []


class TakesLengths(Takes):
    def forward(self, x, scale=1.0, lengths=None):
        self.calls.append((scale, lengths))
        return self.stack(x)


class TakesInput(Takes):
    def forward(self, x):
        self.calls.append("x")
        return self.stack(x)


def test_lengths_go_to_models_that_take_them():
    x, lengths = torch.randn(2, 9, 5), torch.tensor([1.0, 0.5])
    model = TakesLengths()
    rank_neurons(model, [x, (x, lengths)], "mi")
    (_, nothing), (scale, given_lengths) = model.calls
    assert nothing is None and scale == 1.0
    assert torch.equal(given_lengths, lengths)
    model = TakesInput()
    rank_neurons(model, [x, (x, lengths)], "mi")
    assert model.calls == ["x", "x"]


def test_forward_gets_model_input_and_lengths():
    x, lengths = torch.randn(2, 9, 5), torch.tensor([1.0, 0.5])
    calls = []

    def forward(model, x, lengths):
        calls.append(lengths)
        return model.stack(x)

    model = TakesInput()
    scores = rank_neurons(model, [x, (x, lengths)], "mi", forward=forward)
    assert model.calls == []
    assert calls[0] is None and torch.equal(calls[1], lengths)
    assert list(scores) == ["stack.0"]


def test_rows_without_time(make_stack, draw_speech):
    """(batch, features): the same as utterances of one frame."""
    stack = make_stack(5, 7, 6, 4)
    [rows] = draw_speech([12])
    one = measure_saliency(stack, [rows], CRITERIA)
    two = measure_saliency(stack, [rows.unsqueeze(1)], CRITERIA)
    assert_close(one, two, rel=1e-6)
    shortened = (rows, torch.linspace(0.1, 1.0, 12))
    assert_close(one, measure_saliency(stack, [shortened], CRITERIA), rel=1e-6)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("frames_at_once", [1, 25, 10**6])
def test_how_much_is_seen_at_once_does_not_count(
    make_stack, draw_speech, pad, monkeypatch, frames_at_once, stride
):
    stack = make_stack(5, 7, 6, 4)
    batch = pad(draw_speech([9, 4, 12, 1, 7]), extra=2, filler=0.0)
    options = {"window": 4, "frame_stride": stride}
    one = measure_saliency(stack, [batch], CRITERIA, **options)
    monkeypatch.setattr(
        "speechbrain_neuronprune.saliency.positions.FRAMES_AT_ONCE",
        frames_at_once,
    )
    two = measure_saliency(stack, [batch], CRITERIA, **options)
    assert_close(one, two, rel=1e-6)


def test_batches_without_speech_say_nothing(make_stack, draw_speech):
    stack = make_stack(5, 7, 6, 4)
    [x] = draw_speech([12])
    silent = (x[:1].unsqueeze(0), torch.tensor([0.1]))  # rounded to no frame
    one, two = (
        measure_saliency(stack, [*batches, x.unsqueeze(0)], CRITERIA)
        for batches in ([], [silent])
    )
    assert_close(one, two, rel=0)


def test_half_precision_models_are_not_summed_in_half_precision():
    torch.manual_seed(3)
    stack = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 4))
    x = torch.randn(1, 500, 5)
    heard = []
    stack[2].register_forward_pre_hook(lambda _, args: heard.extend(args))
    with torch.autocast("cpu", torch.bfloat16):
        scores = measure_saliency(stack, [x], ["mi", "activation"])
        few = measure_saliency(stack, [x], ["mi_lagged"], frame_stride=20)
    assert heard[0].dtype == torch.bfloat16
    magnitudes = heard[0][0].double().abs()
    sums, frames = window_sums(
        x[0].double(), torch.arange(500), *find_speech(None, (1, 500)), 16
    )
    sums = sums[frames]
    wanted = sums.abs().mean(1) @ magnitudes / 500
    got = scores["mi"]["0"].tolist()
    assert got == pytest.approx(wanted.tolist(), rel=1e-5)
    got = scores["activation"]["0"].tolist()
    assert got == pytest.approx(magnitudes.mean(0).tolist(), rel=1e-5)
    at = range(9, 500, 20)
    units, sums = heard[0][0].double()[at], sums[at]
    units, means = units - units.mean(0), x[0].double()[at].mean(0)
    covariance = units.T @ (sums - 16 * means) / 25  # all windows are whole
    got = few["mi_lagged"]["0"].tolist()
    assert got == pytest.approx(covariance.abs().mean(1).tolist(), rel=1e-4)


def state_of(model):
    return (
        [module.training for module in model.modules()],
        [parameter.requires_grad for parameter in model.parameters()],
        [parameter.grad for parameter in model.parameters()],
        [len(module._forward_pre_hooks) for module in model.modules()],
        [value.clone() for value in model.state_dict().values()],
    )


def assert_unchanged(before, after):
    assert before[:2] == after[:2]
    assert all(a is b for a, b in zip(before[2], after[2], strict=True))
    assert before[3] == after[3]
    assert all(
        torch.equal(a, b) for a, b in zip(before[4], after[4], strict=True)
    )


def mixed_model():
    """Some of it in training, some frozen, some with gradients."""
    model = nn.Sequential(
        nn.Linear(5, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, 4)
    )
    model.train()
    model[2].eval()
    model[0].weight.requires_grad_(False)
    model[3].weight.grad = torch.ones(4, 7)
    return model


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_model_is_left_as_it_was(criterion):
    model = mixed_model()
    before = state_of(model)
    rank_neurons(model, [torch.randn(8, 5)], criterion)
    assert_unchanged(before, state_of(model))


@pytest.mark.parametrize("criterion", ["mi", "taylor"])
@pytest.mark.parametrize("moment", ["speech", "forward", "hook"])
def test_and_so_it_is_after_an_exception(criterion, moment):
    model = mixed_model()
    before = state_of(model)

    def speech():
        yield torch.randn(8, 5)
        if moment == "speech":
            raise OSError("the file is gone")
        yield torch.full((8, 5), math.nan)

    def forward(model, x, lengths):
        output = model(x)
        if moment == "forward":
            raise OSError("no more memory")
        return output

    kind = SaliencyError if moment == "hook" else OSError
    with pytest.raises(kind):
        rank_neurons(model, speech(), criterion, forward=forward)
    assert_unchanged(before, state_of(model))
    assert torch.is_grad_enabled()


def test_the_model_runs_in_evaluation_mode_without_gradients():
    seen = []

    def forward(model, x, lengths):
        output = model(x)
        seen.append((model.training, output.requires_grad))
        return output

    rank_neurons(mixed_model(), [torch.randn(8, 5)], "mi", forward=forward)
    assert seen == [(False, False)]


@pytest.mark.parametrize(
    "batches, number",
    [
        ([], 0),
        # 0.1 of one frame is rounded to none.
        ([(torch.randn(2, 1, 5).double(), torch.tensor([0.1, 0.2]))] * 2, 2),
    ],
)
@pytest.mark.parametrize("criterion", ["mi", "mi_lagged", "obs", "activation"])
def test_speech_is_needed(make_stack, batches, number, criterion):
    stack = make_stack(5, 7, 4)
    message = f"no speech frame to measure group 0 on after {number} batches"
    with pytest.raises(SaliencyError, match=message):
        rank_neurons(stack, batches, criterion)
    with pytest.raises(SaliencyError, match=message):
        measure_activations(stack, batches)


def test_taylor_needs_speech_too(make_stack):
    batch = (torch.randn(1, 1, 5).double(), torch.tensor([0.1]))
    for batches in ([], [batch]):
        with pytest.raises(SaliencyError, match="no speech frame"):
            rank_neurons(make_stack(5, 7, 4), batches, "taylor")


def test_a_group_that_does_not_run_is_named(make_stack, draw_speech):
    stack = make_stack(5, 7, 6, 4)
    with pytest.raises(SaliencyError, match="measure group 2 on after 1 batch"):
        rank_neurons(
            stack, draw_speech([9]), "mi", forward=lambda m, x, _: m[:3](x)
        )


def test_bad_activations_are_named_by_group_and_batch(make_stack, draw_speech):
    stack = make_stack(5, 7, 6, 4)
    speech = draw_speech([9, 9, 9])
    speech[2][4, 0] = math.nan
    with pytest.raises(SaliencyError) as error:
        rank_neurons(stack, speech, "activation")
    assert "activations of group 0 contain NaN" in str(error.value)
    assert "in batch 2" in str(error.value)


@pytest.mark.parametrize("progress", [True, False])
def test_a_progress_bar_is_shown_if_wanted(
    make_stack, draw_speech, capsys, progress
):
    rank_neurons(
        make_stack(5, 7, 4), draw_speech([9, 9]), "mi", progress=progress
    )
    assert ("2/2" in capsys.readouterr().err) == progress
