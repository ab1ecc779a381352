"""Models to adapt, and what is meant to learn in them, by plain names.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

# Which parameters are rows and which are columns of a group's neurons.
CHAIN = {
    "0": (("0.weight", "0.bias"), "4.weight"),
    "4": (("4.weight", "4.bias"), "6.weight"),
}
FFN = "layers.{}.ffn_module1"
ENCODER = {
    FFN.format(block): (
        (
            FFN.format(block) + ".1.ffn.0.weight",
            FFN.format(block) + ".1.ffn.0.bias",
        ),
        FFN.format(block) + ".1.ffn.3.weight",
    )
    for block in (0, 1)
}


@dataclass
class Case:
    """A model in training mode, its input, and a choice of neurons."""

    model: nn.Module
    x: torch.Tensor
    selection: dict[str, torch.Tensor]
    names: dict[str, tuple[tuple[str, str], str]]

    def forward(self, model: nn.Module | None = None) -> torch.Tensor:
        """The output of the model, or of a copy of it."""
        output = (model or self.model)(self.x)
        return output[0] if isinstance(output, tuple) else output

    @torch.no_grad()
    def output(self, model: nn.Module | None = None) -> torch.Tensor:
        """In evaluation, bit by bit the same for the same numbers: which
        kernel torch takes depends on the flags of the parameters."""
        model = (model or self.model).eval()
        flags = {p: p.requires_grad for p in model.parameters()}
        model.requires_grad_(False)
        output = self.forward(model)
        for parameter, flag in flags.items():
            parameter.requires_grad_(flag)
        return output

    def loss(self, model: nn.Module | None = None) -> torch.Tensor:
        """A loss that every parameter has to do with."""
        return (self.forward(model) - 1.0).square().mean()

    def train(self, optimiser, steps=5, autocast=False, clip=None) -> None:
        """Some steps of an optimiser."""
        for _ in range(steps):
            optimiser.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                loss = self.loss()
            loss.backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(self.model.parameters(), clip)
            optimiser.step()

    def chosen(self, outgoing: bool = False) -> dict[str, torch.Tensor]:
        """For every parameter, which of its entries are meant to learn."""
        masks = {
            name: torch.zeros_like(value, dtype=torch.bool)
            for name, value in self.model.named_parameters()
        }
        for group, units in self.selection.items():
            rows, columns = self.names[group]
            for unit in units.nonzero().flatten().tolist():
                for name in rows:
                    masks[name][unit] = True
                if outgoing:
                    masks[columns][:, unit] = True
        return masks


def snapshot(model):
    """A copy of everything that a model's state dict holds."""
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.fixture(name="snapshot")
def snapshot_fixture():
    """The function ``snapshot``."""
    return snapshot


@pytest.fixture
def chain():
    """Three fully connected layers with a batch norm, in training mode."""
    model = nn.Sequential(
        nn.Linear(6, 10),
        nn.BatchNorm1d(10),
        nn.Sigmoid(),
        nn.Dropout(0.1),
        nn.Linear(10, 9),
        nn.Sigmoid(),
        nn.Linear(9, 4),
    )
    selection = {"0": torch.arange(10) % 4 == 1, "4": torch.arange(9) < 2}
    return Case(model, torch.randn(12, 6), selection, CHAIN)


@pytest.fixture
def encoder(make_encoder):
    """A small Conformer encoder, in training mode."""
    selection = {name: torch.arange(24) % 5 == 2 for name in ENCODER}
    model = make_encoder(attention_type="RoPEMHA", dropout=0.0).train()
    return Case(model, torch.randn(2, 7, 16), selection, ENCODER)


@pytest.fixture(params=["chain", "encoder"])
def case(request):
    """Each of the models in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def is_unchanged():
    """Whether a model's state dict is bitwise a snapshot, but for the
    entries that masks name."""

    def check(model, before, masks=None) -> bool:
        after = model.state_dict()
        masks = masks or {}
        kept = {n: ~masks[n] if n in masks else ... for n in before}
        return list(after) == list(before) and all(
            torch.equal(after[name][kept[name]], before[name][kept[name]])
            for name in before
        )

    return check
