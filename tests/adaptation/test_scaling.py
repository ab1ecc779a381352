"""One scale per neuron learns, and folds away.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch
from torch import nn

from speechbrain_neuronprune.adaptation.scaling import hidden_unit_scaling
from speechbrain_neuronprune.errors import SelectionError, UnitsError


def spread(scaling):
    """Amplitudes as a training might leave them."""
    with torch.no_grad():
        for amplitudes in scaling.parameters():
            amplitudes.normal_()


def scaled_by_hand(model, scaling):
    """Multiply what arrives at every consumer, in a plain model."""

    def hook(scales):
        return lambda module, args: args[0] * scales

    for name, scales in scaling.scales().items():
        linear = model.get_submodule(name.removesuffix(".weight"))
        linear.register_forward_pre_hook(hook(scales))


def test_at_first_nothing_changes(case):
    expected = case.output()
    hidden_unit_scaling(case.model)
    assert torch.equal(case.output(), expected)


def test_the_activations_are_scaled_and_the_scales_fold(case):
    scaling = hidden_unit_scaling(case.model.eval())
    spread(scaling)
    scaled = case.output()
    folded = case.output(scaling.finish())
    torch.testing.assert_close(folded, scaled, rtol=1e-6, atol=1e-6)


def test_it_is_the_scaled_model(case):
    scaling = hidden_unit_scaling(case.model.eval())
    spread(scaling)
    got = case.output()
    scaled_by_hand(scaling.undo(), scaling)
    torch.testing.assert_close(got, case.output(), rtol=1e-5, atol=1e-5)


def test_one_number_per_neuron_learns(case, snapshot, is_unchanged):
    before = snapshot(case.model)
    scaling = hidden_unit_scaling(case.model)
    sizes = [values.numel() for values in scaling.parameters()]
    assert sizes == ([10, 9] if "0" in case.names else [24] * 4)
    case.train(torch.optim.AdamW(case.model.parameters(), lr=0.1), steps=3)
    assert all(
        (scales != 1.0).all() and (scales > 0.0).all() and (scales < 2.0).all()
        for scales in scaling.scales().values()
    )
    assert is_unchanged(scaling.undo(), before)


def test_finish_changes_outgoing_weights_only(chain, snapshot, is_unchanged):
    before = snapshot(chain.model)
    scaling = hidden_unit_scaling(chain.model, "4")
    spread(scaling)
    scaling.finish()
    masks = {"6.weight": torch.ones(4, 9, dtype=torch.bool)}
    assert is_unchanged(chain.model, before, masks)
    assert not is_unchanged(chain.model, before)


def test_targets_choose_groups(encoder):
    scaling = hidden_unit_scaling(encoder.model, "layers.1.ffn*")
    assert [name.split(".")[2] for name in scaling.scales()] == [
        "ffn_module1",
        "ffn_module2",
    ]


def test_other_kinds_are_refused(encoder):
    with pytest.raises(UnitsError, match="query is of kind query"):
        hidden_unit_scaling(encoder.model, "query")


def test_a_model_without_neurons_is_refused():
    with pytest.raises(UnitsError, match="A Linear holds no fully connected"):
        hidden_unit_scaling(nn.Linear(2, 2))


def test_not_on_top_of_another(case):
    hidden_unit_scaling(case.model)
    with pytest.raises(SelectionError, match="already being adapted"):
        hidden_unit_scaling(case.model)
