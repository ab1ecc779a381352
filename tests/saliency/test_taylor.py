"""Taylor equals gradients worked out by hand; its loss; its errors.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math

import pytest
import torch
from speechbrain.nnet.RNN import LSTM
from torch import nn
from torch.utils.checkpoint import checkpoint

from speechbrain_neuronprune.errors import SaliencyError
from speechbrain_neuronprune.saliency import measure_saliency, rank_neurons
from speechbrain_neuronprune.saliency.taylor import decision_loss


def softmax(scores):
    powers = [math.exp(score - max(scores)) for score in scores]
    return [power / sum(powers) for power in powers]


def by_hand(stack, utterances):
    """Groups "0" and "2" of a ReLU stack: the gradient of cross-entropy by
    scores is softmax less the decision, and goes back through the weights."""
    entry, middle, last = (stack[i].weight.tolist() for i in (0, 2, 4))
    totals = {"0": [0.0] * len(entry), "2": [0.0] * len(middle)}
    frames = 0
    for x in (frame for one in utterances for frame in one):
        frames += 1
        first = stack[:2](x).tolist()
        second = stack[:4](x).tolist()
        scores = stack(x).tolist()
        slope = softmax(scores)
        slope[scores.index(max(scores))] -= 1.0
        by_second = [
            sum(slope[c] * last[c][n] for c in range(len(last)))
            for n in range(len(middle))
        ]
        by_first = [
            sum(
                by_second[n] * middle[n][m]
                for n in range(len(middle))
                if second[n] > 0
            )
            for m in range(len(entry))
        ]
        for name, values, slopes in (
            ("0", first, by_first),
            ("2", second, by_second),
        ):
            for n, (value, slope_n) in enumerate(
                zip(values, slopes, strict=True)
            ):
                totals[name][n] += abs(value * slope_n)
    return {
        name: [total / frames for total in each]
        for name, each in totals.items()
    }


def test_taylor_equals_the_gradient_by_hand(make_stack, draw_speech, pad):
    stack = make_stack(5, 7, 6, 4)
    utterances = draw_speech([6, 1, 10])
    # Zeros: NaN in the padding is for criteria that stop at the layer.
    batch = pad(utterances, filler=0.0)
    scores = rank_neurons(stack, [batch], "taylor")
    with torch.no_grad():
        wanted = by_hand(stack, utterances)
    for name in ("0", "2"):
        assert scores[name].tolist() == pytest.approx(wanted[name], rel=1e-6)


@pytest.mark.parametrize("sizes", [[7], [1, 2, 4], [5, 2], [1] * 7])
def test_stride_takes_utterances_however_they_are_batched(
    make_stack, draw_speech, pad, sizes
):
    stack = make_stack(5, 7, 6, 4)
    utterances = draw_speech([6, 1, 10, 3, 8, 2, 5])
    whole = [pad(utterances)]
    chosen = [pad([utterances[0], utterances[3], utterances[6]])]
    stream = iter(utterances)
    batches = [pad([next(stream) for _ in range(size)]) for size in sizes]

    measured = measure_saliency(
        stack, batches, ["taylor", "mi", "obs"], gradient_stride=3
    )

    for criterion, speech in (("taylor", chosen), ("mi", whole)):
        wanted = rank_neurons(stack, speech, criterion)
        for name, scores in measured[criterion].items():
            assert scores.tolist() == pytest.approx(
                wanted[name].tolist(), rel=1e-5
            )


class Recurrent(nn.Module):
    """SpeechBrain's RNNs give no frames behind the longest utterance's
    end, wherever the padding ends."""

    def __init__(self):
        super().__init__()
        self.rnn = LSTM(8, input_size=5)
        self.stack = nn.Sequential(nn.Linear(8, 7), nn.ReLU(), nn.Linear(7, 4))

    def forward(self, x, lengths):
        return self.stack(self.rnn(x, lengths=lengths)[0])


@pytest.mark.parametrize("stride", [1, 2, 3, 64])
def test_parts_of_a_batch_have_a_longest_utterance(draw_speech, pad, stride):
    model = Recurrent().double().eval()
    utterances = draw_speech([20, 10, 14, 8])
    measured = measure_saliency(
        model,
        [pad(utterances, filler=0.0)],
        ["mi", "taylor"],
        gradient_stride=stride,
    )
    chosen = [pad([one]) for one in utterances[::stride]]
    alone = [pad([one]) for one in utterances]
    for criterion, speech in (("mi", alone), ("taylor", chosen)):
        wanted = rank_neurons(model, speech, criterion)["stack.0"]
        assert measured[criterion]["stack.0"].tolist() == pytest.approx(
            wanted.tolist(), rel=1e-5
        )


def test_taylor_looks_at_all_frames(make_stack, draw_speech, pad):
    stack = make_stack(5, 7, 6, 4)
    speech = [pad(draw_speech([6, 9]))]
    one = rank_neurons(stack, speech, "taylor")
    two = rank_neurons(stack, speech, "taylor", frame_stride=4)
    assert {k: v.tolist() for k, v in one.items()} == {
        k: v.tolist() for k, v in two.items()
    }


def test_batches_are_read_as_the_caller_would(make_stack, draw_speech):
    """What makes them may need gradients."""
    seen = []

    def batches():
        for one in draw_speech([4, 3]):
            seen.append(torch.is_grad_enabled())
            yield one.unsqueeze(0)

    rank_neurons(make_stack(5, 7, 4), batches(), "mi")
    assert seen == [True, True]


def test_every_utterance_is_heard_once(make_stack, draw_speech, pad):
    stack = make_stack(5, 7, 6, 4)
    rows = []
    stack.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
    batches = [pad(draw_speech([4, 3, 2, 5])) for _ in range(3)]
    measure_saliency(stack, batches, ["taylor", "mi"], gradient_stride=3)
    assert sorted(rows) == [1, 1, 2, 2, 3, 3]


def test_parameters_are_frozen_only_for_gradients(make_stack, draw_speech):
    """Products with frozen matrices are slower."""
    stack = make_stack(5, 7, 6, 4)
    seen = []
    stack.register_forward_pre_hook(
        lambda *_: seen.append(
            (torch.is_grad_enabled(), stack[0].weight.requires_grad)
        )
    )
    batches = [one.unsqueeze(0) for one in draw_speech([4, 3])]
    measure_saliency(stack, batches, ["taylor", "mi"], gradient_stride=2)
    assert seen == [(True, False), (False, True)]
    assert all(p.requires_grad for p in stack.parameters())


def test_stride_alone_reads_no_more_than_it_takes(make_stack, draw_speech):
    stack = make_stack(5, 7, 6, 4)
    rows = []
    stack.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
    batches = [one.unsqueeze(0) for one in draw_speech([4] * 9)]
    rank_neurons(stack, batches, "taylor", gradient_stride=4)
    assert rows == [1, 1, 1]


def test_stride_of_nothing(make_stack, draw_speech):
    stack = make_stack(5, 7, 4)
    with pytest.raises(SaliencyError, match="Every 0-th utterance is none"):
        rank_neurons(stack, draw_speech([4]), "taylor", gradient_stride=0)


def test_padding_may_be_anything(make_stack, draw_speech, pad):
    stack = make_stack(5, 7, 6, 4)
    utterances = draw_speech([6, 1, 10])
    clean, nan = (
        rank_neurons(stack, [pad(utterances, filler=filler)], "taylor")
        for filler in (0.0, math.nan)
    )
    assert torch.equal(clean["0"], nan["0"])
    assert torch.equal(clean["2"], nan["2"])


def test_labels_can_be_given_by_a_loss(make_stack, draw_speech):
    """The loss sees the output, the input and the lengths."""
    stack = make_stack(5, 7, 4)
    [x] = draw_speech([12])

    def loss(output, x, lengths):
        assert lengths is None
        assert x.shape == (1, 12, 5)
        return (output * 3.0).sum()

    scores = rank_neurons(stack, [x.unsqueeze(0)], "taylor", loss=loss)["0"]
    slope = 3.0 * stack[2].weight.sum(0)
    wanted = (stack[:2](x) * slope).abs().mean(0)
    assert scores.tolist() == pytest.approx(wanted.tolist(), rel=1e-6)


@pytest.mark.parametrize("trainable", [True, False])
def test_parameters_are_left_alone(make_stack, draw_speech, trainable):
    stack = make_stack(5, 7, 6, 4).requires_grad_(trainable)
    stack[2].bias.requires_grad_(not trainable)
    flags = [p.requires_grad for p in stack.parameters()]
    old = [torch.ones_like(p) for p in stack.parameters()]
    for parameter, gradient in zip(stack.parameters(), old, strict=True):
        parameter.grad = gradient
    scores = rank_neurons(stack, draw_speech([12]), "taylor")
    assert (scores["0"] > 0).any() and (scores["2"] > 0).any()
    assert [p.requires_grad for p in stack.parameters()] == flags
    for parameter, gradient in zip(stack.parameters(), old, strict=True):
        assert parameter.grad is gradient and (gradient == 1).all()


def test_gradients_are_on_only_while_the_model_runs(make_stack, draw_speech):
    stack = make_stack(5, 7, 4)
    with torch.no_grad():
        scores = rank_neurons(stack, draw_speech([12]), "taylor")["0"]
        assert not torch.is_grad_enabled()
    assert (scores > 0).any() and not scores.requires_grad


def test_decision_loss_ignores_padding_and_takes_tuples():
    scores = torch.randn(2, 4, 3)
    lengths = torch.tensor([1.0, 0.5])
    frames = [*scores[0], *scores[1, :2]]
    wanted = -sum(frame.log_softmax(-1).max() for frame in frames)
    got = decision_loss((scores, "attention"), None, lengths)
    assert got.item() == pytest.approx(wanted.item(), rel=1e-5)
    logs = decision_loss(scores.log_softmax(-1), None, lengths)
    assert logs.item() == pytest.approx(wanted.item(), rel=1e-5)
    rows = decision_loss(torch.stack(frames), None, torch.ones(6))
    assert rows.item() == pytest.approx(wanted.item(), rel=1e-5)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"loss": lambda *_: None}, "The loss is a NoneType, not a scalar"),
        ({"loss": lambda output, *_: output}, r"a tensor of shape \(1, 12, 4"),
        (
            {"loss": lambda output, *_: output.detach().sum()},
            "of group 0; give",
        ),
        ({"forward": lambda m, x, _: {"y": m(x)}}, "output is a dict from"),
        ({"forward": lambda m, x, _: m(x).sum()}, "output is a Tensor from"),
    ],
)
def test_a_loss_that_cannot_be_used_is_refused(
    make_stack, draw_speech, options, message
):
    stack = make_stack(5, 7, 4)
    speech = [draw_speech([12])[0].unsqueeze(0)]
    with pytest.raises(SaliencyError, match=message):
        rank_neurons(stack, speech, "taylor", **options)


def test_a_group_that_the_loss_ignores_is_refused(make_stack, draw_speech):
    """Zeros would rank its units by chance."""
    stack = make_stack(5, 7, 6, 4)

    def forward(model, x, lengths):
        hidden = model[:3](x)
        model[3:](hidden)
        return hidden

    speech = draw_speech([12])
    message = "of group 2; .* leave the group out with targets="
    with pytest.raises(SaliencyError, match=message):
        rank_neurons(stack, speech, "taylor", forward=forward)
    scores = rank_neurons(stack, speech, "taylor", ["0"], forward=forward)
    assert (scores["0"] > 0).any()


class Checkpointed(nn.Module):
    def __init__(self, stack, reentrant):
        super().__init__()
        self.stack, self.reentrant = stack, reentrant

    def forward(self, x):
        return checkpoint(self.stack, x, use_reentrant=self.reentrant)


def test_inference_mode_is_named(make_stack, draw_speech):
    stack, speech = make_stack(5, 7, 4), draw_speech([6, 3])
    with torch.inference_mode():
        with pytest.raises(SaliencyError, match=r"in torch\.inference_mode"):
            rank_neurons(stack, speech, "taylor")
        rank_neurons(stack, speech, "mi")


def test_gradient_checkpointing_changes_nothing(make_stack, draw_speech):
    """The layers are run again, which must not count."""
    stack = make_stack(5, 7, 6, 4)
    speech = draw_speech([12, 9])
    criteria = ["taylor", "mi", "activation"]
    plain = measure_saliency(stack, speech, criteria)
    again = measure_saliency(Checkpointed(stack, False), speech, criteria)
    for criterion in criteria:
        for name, scores in plain[criterion].items():
            assert torch.equal(again[criterion][f"stack.{name}"], scores)


def test_reentrant_checkpointing_is_named(make_stack, draw_speech):
    model = Checkpointed(make_stack(5, 7, 6, 4), True)
    with pytest.raises(SaliencyError, match="reentrant checkpointing does"):
        rank_neurons(model, draw_speech([12]), "taylor")


def test_a_model_that_works_in_place_is_seen_as_it_was(draw_speech):
    """With frozen weights nothing keeps it from writing over an input."""

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(5, 5)
            self.net = nn.Sequential(
                nn.Linear(5, 9), nn.Sigmoid(), nn.Linear(9, 5)
            )

        def forward(self, x):
            x = self.first(x)
            x += 3 * self.net(x)
            return x

    model, speech = Residual().double(), draw_speech([12, 9])
    together = measure_saliency(model, speech, ["mi", "obs", "taylor"])
    for criterion in ("mi", "obs"):
        alone = rank_neurons(model, speech, criterion)
        for name, scores in alone.items():
            assert torch.allclose(together[criterion][name], scores)


def test_recurrent_layers_before_the_units_are_not_differentiated(draw_speech):
    """On a GPU they could not be, in evaluation mode."""

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.GRU(5, 6, batch_first=True)
            self.dnn = nn.Sequential(
                nn.Linear(6, 7), nn.ReLU(), nn.Linear(7, 4)
            )

        def forward(self, x):
            hidden = self.rnn(x)[0]
            assert not hidden.requires_grad
            return self.dnn(hidden)

    speech = [draw_speech([12])[0].unsqueeze(0).float()]
    scores = rank_neurons(Recurrent(), speech, "taylor", targets="fc")
    assert (scores["dnn.0"] > 0).any()
