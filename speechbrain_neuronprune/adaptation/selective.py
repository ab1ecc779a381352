"""Selective update: only chosen neurons learn (Mitra and Franco, sec. 6).

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from speechbrain_neuronprune.adaptation.handle import Adaptation
from speechbrain_neuronprune.adaptation.neurons import shares
from speechbrain_neuronprune.adaptation.overlay import Overlay, base_of
from speechbrain_neuronprune.adaptation.patch import DomainPatch, PatchEntry
from speechbrain_neuronprune.errors import SelectionError
from speechbrain_neuronprune.fingerprint import fingerprint
from speechbrain_neuronprune.units import UnitGroup, supported_units


class ChosenEntries(Overlay):
    """Rows and columns of a parameter that learn over a frozen rest.

    Where a chosen column crosses a chosen row, the entry is the row's, so
    that every entry that learns is there once.

    Arguments
    ---------
    base : torch.Tensor
        The parameter; its chosen entries are copied as starting values.
    rows : torch.Tensor
        Long (rows,): which rows (or, of a vector, which entries) learn.
    columns : torch.Tensor
        Long (columns,): which columns learn.

    Example
    -------
    >>> chosen = ChosenEntries(
    ...     torch.zeros(3, 3), torch.tensor([1]), torch.tensor([0])
    ... )
    >>> for values in chosen.parameters():
    ...     _ = nn.init.ones_(values)
    >>> chosen(torch.zeros(3, 3)).detach()
    tensor([[1., 0., 0.],
            [1., 1., 1.],
            [1., 0., 0.]])
    """

    def __init__(self, base: Tensor, rows: Tensor, columns: Tensor) -> None:
        super().__init__()
        base = base.detach()
        rows, columns = rows.to(base.device), columns.to(base.device)
        others = torch.ones(len(base), dtype=torch.bool, device=base.device)
        others[rows] = False
        self.register_buffer("row_index", rows)
        self.register_buffer("other_rows", others.nonzero().flatten())
        self.register_buffer("column_index", columns)
        self.rows = self.columns = None
        if len(rows):
            self.rows = nn.Parameter(base[rows])
        if len(columns) and len(self.other_rows):
            self.columns = nn.Parameter(base[self._crossing()])

    def _crossing(self) -> tuple[Tensor, Tensor]:
        """The chosen columns without the chosen rows."""
        return self.other_rows[:, None], self.column_index

    def forward(self, base: Tensor) -> Tensor:
        """A copy of ``base`` with the learned values in their places.

        Arguments
        ---------
        base : torch.Tensor
            The frozen parameter.

        Returns
        -------
        torch.Tensor
            Of the shape of ``base``.
        """
        value = base.clone()
        if self.rows is not None:
            value[self.row_index] = self.rows
        if self.columns is not None:
            value[self._crossing()] = self.columns
        return value

    def extra_repr(self) -> str:
        """How much learns, for ``print(model)``."""
        rows, columns = len(self.row_index), len(self.column_index)
        return f"rows={rows}, columns={columns}"

    @torch.no_grad()
    def entries(self, name: str, base: Tensor) -> Iterator[PatchEntry]:
        """The learned values, whole rows and whole columns, on the CPU.

        Arguments
        ---------
        name : str
            The name of the parameter in the model.
        base : torch.Tensor
            The frozen parameter.

        Returns
        -------
        iterator of PatchEntry
            One of rows and one of columns, where some are chosen.
        """
        value = self(base)
        for dim, index in enumerate((self.row_index, self.column_index)):
            if len(index):
                values = value.index_select(dim, index).cpu()
                yield PatchEntry(name, dim, index.cpu(), values)


class SelectiveUpdate(Adaptation):
    """The handle that ``selective_update`` returns.

    Besides what every ``Adaptation`` can do, it gives the new values away as
    a patch.
    """

    def patch(self) -> DomainPatch:
        """The chosen neurons' present values alone.

        Returns
        -------
        DomainPatch
            A copy, for the model that this update started from.
        """
        self._check_active("patch")
        entries = [
            entry
            for name, overlay in self.overlays.items()
            for entry in overlay.entries(name, base_of(self.model, name))
        ]
        return DomainPatch(fingerprint(self.model), entries)


def selective_update(
    model: nn.Module, selection: Mapping[str, Any], outgoing: bool = False
) -> SelectiveUpdate:
    """Let only chosen neurons of a model learn.

    Mitra and Franco, sec. 6 update the hyper and hypo neurons by unsupervised
    adaptation. It does not say which parameters those are; that they are the
    incoming weights and the bias of each neuron is inferred. A neuron that
    never fires (a hypo neuron behind a ReLU may be such) has no gradient,
    neither of its incoming nor of its outgoing weights, and cannot learn.

    Everything else is frozen and stays bitwise what it is, whatever the
    optimiser, its weight decay or its momentum do: what learns is a small
    tensor beside each weight, and the optimiser holds state for that only.
    Norms with running statistics use those that they have.

    Arguments
    ---------
    model : nn.Module
        Changed in place, until the update is finished or undone.
    selection : mapping of str to NeuronSelection or torch.Tensor
        By group name (of kind ``fc`` or ``ffn``): what
        ``select_hyper_hypo`` returns, of which the hypo and hyper neurons
        learn, or a bool tensor (units,).
    outgoing : bool
        The neurons' outgoing weights learn, too.

    Returns
    -------
    SelectiveUpdate
        ``parameters()`` for an optimiser, ``patch()``, and ``finish()`` or
        ``undo()``, which make the model an ordinary one again.

    Raises
    ------
    SelectionError
        If nothing is selected, the selection does not fit the model, or the
        model is already being adapted.
    UnitsError
        If a group is of another kind.

    Example
    -------
    >>> from speechbrain.nnet.attention import PositionalwiseFeedForward
    >>> model = nn.Sequential(PositionalwiseFeedForward(8, input_size=4))
    >>> update = selective_update(model, {"0": torch.arange(8) < 2})
    >>> [tuple(values.shape) for values in update.parameters()]
    [(2, 4), (2,)]
    >>> optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    >>> model(torch.randn(3, 5, 4)).square().mean().backward()
    >>> optimiser.step()
    >>> patch = update.patch()
    >>> model = update.finish()
    """
    return SelectiveUpdate(model, _overlays(model, selection, outgoing))


def _overlays(
    model: nn.Module, selection: Mapping[str, Any], outgoing: bool
) -> dict[str, ChosenEntries]:
    groups = supported_units(model)
    places: dict[str, tuple[list[Tensor], list[Tensor]]] = {}
    for name, choice in selection.items():
        chosen = _checked(name, choice, groups)
        for share in shares(model, groups[name]):
            if chosen.any() and (outgoing or share.dim == 0):
                index = share.index[chosen].flatten()
                place = places.setdefault(share.parameter, ([], []))
                place[share.dim].append(index)
    if not places:
        raise SelectionError(
            f"No neuron is selected in the {len(selection)} groups given; "
            "select at least one, for instance with a larger hypo or hyper."
        )
    return {
        name: ChosenEntries(base_of(model, name), _index(a), _index(b))
        for name, (a, b) in places.items()
    }


def _index(parts: list[Tensor]) -> Tensor:
    return torch.cat([torch.zeros(0, dtype=torch.long), *parts]).unique()


def _checked(name: str, choice: Any, groups: Mapping[str, UnitGroup]) -> Tensor:
    """The bool tensor of one group's choice, on the CPU."""
    if name not in groups:
        present = ", ".join(groups) or "none"
        raise SelectionError(
            f"The selection names group {name}, which the model does not "
            "have; select neurons of the model that is updated. Groups here: "
            f"{present}."
        )
    chosen = getattr(choice, "chosen", choice)
    if not torch.is_tensor(chosen) or chosen.dtype != torch.bool:
        raise SelectionError(
            f"The selection of group {name} is not a bool tensor; give one "
            "bool per neuron, True for those that learn."
        )
    if chosen.shape != (groups[name].size,):
        raise SelectionError(
            f"The selection of group {name} has shape {tuple(chosen.shape)}, "
            f"the model has {groups[name].size} neurons there; select "
            "neurons of the model that is updated."
        )
    return chosen.cpu()
