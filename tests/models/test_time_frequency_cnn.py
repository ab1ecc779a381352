"""The time-frequency CNN against its windows, one by one."""

import pytest
import torch
from hyperpyyaml import load_hyperpyyaml
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from speechbrain_neuronprune import (
    RetentionSchedule,
    attach_adaptive_dropout,
    find_units,
)
from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.models.time_frequency_cnn import TimeFrequencyCNN


def build(**changes):
    sizes = {
        "output_size": 5,
        "bands": 11,
        "context": 3,
        "time_filters": 2,
        "time_kernel": 3,
        "time_pool": 2,
        "frequency_filters": 3,
        "frequency_kernel": 4,
        "frequency_pool": 3,
        "fc_layers": 2,
        "fc_units": 12,
    }
    return TimeFrequencyCNN(**{**sizes, **changes}).eval()


def by_windows(model, x):
    """Every window alone, in plain loops (float64)."""
    context, kernel = model.context, model.time_conv.kernel_size[0]
    wide = model.frequency_conv.kernel_size[1]
    padded = nn.functional.pad(x, (0, 0, context, context))
    outputs = []
    for t in range(0, x.shape[1], model.subsampling):
        window = padded[:, t : t + 2 * context + 1]
        features = []
        frames, bands = window.shape[1:]
        over_time = torch.stack(
            [
                torch.einsum(
                    "bkc,fk->bfc",
                    window[:, s : s + kernel],
                    model.time_conv.weight[:, 0, :, 0],
                )
                + model.time_conv.bias[:, None]
                for s in range(frames - kernel + 1)
            ],
            dim=2,
        )
        pool = model.time_pool
        for p in range(over_time.shape[2] // pool):
            best = over_time[:, :, p * pool : (p + 1) * pool].amax(2)
            features.append(best.flatten(1))
        over_bands = torch.stack(
            [
                torch.einsum(
                    "btk,ftk->bf",
                    window[:, :, s : s + wide],
                    model.frequency_conv.weight[:, 0],
                )
                + model.frequency_conv.bias
                for s in range(bands - wide + 1)
            ],
            dim=2,
        )
        pool = model.frequency_pool
        pooled = [
            over_bands[:, :, p * pool : (p + 1) * pool].amax(2)
            for p in range(over_bands.shape[2] // pool)
        ]
        features.append(torch.stack(pooled, dim=2).flatten(1))
        outputs.append(model.fc(model.activation(torch.cat(features, dim=1))))
    return torch.stack(outputs, dim=1)


@settings(max_examples=30)
@given(
    time=st.integers(1, 20),
    subsampling=st.integers(1, 4),
    context=st.integers(2, 5),
    kernels=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    pools=st.tuples(st.integers(1, 2), st.integers(1, 3)),
)
def test_an_utterance_at_once_equals_window_by_window(
    time, subsampling, context, kernels, pools
):
    model = build(
        context=context,
        time_kernel=kernels[0],
        frequency_kernel=kernels[1],
        time_pool=pools[0],
        frequency_pool=pools[1],
        subsampling=subsampling,
    ).double()
    x = torch.randn(2, time, 11).double()
    out = model(x)
    assert out.shape == (2, -(-time // subsampling), 5)
    torch.testing.assert_close(out, by_windows(model, x))


@settings(max_examples=30)
@given(
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=4),
    norm=st.sampled_from([None, "batch", "layer"]),
    subsampling=st.integers(1, 3),
    seed=st.integers(0, 10**6),
)
def test_valid_frames_depend_neither_on_padding_nor_on_the_batch(
    lengths, norm, subsampling, seed
):
    torch.manual_seed(seed)
    model = build(norm=norm, subsampling=subsampling)
    longest = max(lengths) + seed % 7
    x = torch.randn(len(lengths), longest, 11) * 10
    x[0, lengths[0] :] = torch.nan
    batch = model(x, torch.tensor(lengths) / longest)
    for utterance, length in enumerate(lengths):
        alone = model(x[utterance : utterance + 1, :length])
        valid = batch[utterance, : alone.shape[1]]
        torch.testing.assert_close(valid, alone[0], rtol=1e-4, atol=1e-5)


def test_the_papers_sizes():
    with torch.device("meta"):
        model = TimeFrequencyCNN(3125)
    groups = find_units(model)
    assert list(groups) == [f"fc.linear{layer}" for layer in (1, 2, 3, 4)]
    assert {group.size for group in groups.values()} == {2048}
    # 2 pools of 75 filters on 40 bands, 11 pools of 200 filters
    assert model.fc.linear1.in_features == 75 * 40 * 2 + 200 * 11
    assert model.time_conv.weight.shape == (75, 1, 8, 1)
    assert model.frequency_conv.weight.shape == (200, 1, 17, 8)


def test_names_do_not_depend_on_norm_and_dropout():
    plain = build()
    for norm in ("batch", "layer"):
        model = build(norm=norm, dropout=0.1)
        assert list(find_units(model)) == list(find_units(plain))
        assert set(plain.state_dict()) < set(model.state_dict())


def test_dropout_is_active_in_training_only():
    model, x = build(dropout=0.5), torch.randn(2, 9, 11)
    assert torch.equal(model(x), model(x))
    model.train()
    assert not torch.equal(model(x), model(x))


@pytest.mark.parametrize("activation", [nn.Sigmoid, nn.ReLU, nn.Tanh, nn.GELU])
def test_a_deep_stack_starts_alive(activation):
    """Outputs vary with the input, and so does the first layer's gradient."""
    model = build(fc_layers=4, fc_units=200, activation=activation)
    out = model(torch.randn(4, 30, 11))
    assert 0.1 < out.flatten(0, 1).std(0).mean() < 10.0
    nn.functional.cross_entropy(
        out.flatten(0, 1), torch.randint(5, (120,))
    ).backward()
    first, last = (
        getattr(model.fc, name).weight for name in ("linear1", "linear4")
    )
    assert first.grad.norm() / first.norm() > 0.05 * (
        last.grad.norm() / last.norm()
    )


def test_it_learns():
    model = build(fc_layers=3, fc_units=32).train()
    x = torch.randn(4, 25, 11)
    targets = (x[..., :5].cumsum(1) / 5).argmax(-1).flatten()
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        loss = nn.functional.cross_entropy(model(x).flatten(0, 1), targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_yaml_builds_it_with_gates():
    hparams = load_hyperpyyaml(
        """
model: !new:speechbrain_neuronprune.models.time_frequency_cnn.TimeFrequencyCNN
    output_size: 4
    bands: 16
    fc_layers: 2
    fc_units: 8
    activation: !name:torch.nn.ReLU
    norm: layer
"""
    )
    model = hparams["model"]
    assert isinstance(model.activation, nn.ReLU)
    attach_adaptive_dropout(model, RetentionSchedule(), targets="fc")
    assert model(torch.randn(2, 30, 16)).shape == (2, 30, 4)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"time_kernel": 8}, "time kernel of 8 .* within 7; .* time_kernel"),
        ({"frequency_pool": 9}, "frequency kernel of 4 and pool 9"),
        ({"time_pool": 0}, "pool 0 positions"),
        ({"norm": "group"}, "no norm='group'; give None"),
        ({"subsampling": 0}, "subsampling=0; give 1"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(TrainingError, match=message):
        build(**changes)
