"""What every attention with removable units has: projections, gates, heads.

One class per SpeechBrain attention serves all three forms - gated, masked and
compact - because they differ in widths only: heads may have any number of
query units and of value units. Parameter names are the stock ones.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechbrain_neuronprune.errors import UnitsError
from speechbrain_neuronprune.layers.constant import ConstantAttention, bias_of
from speechbrain_neuronprune.layers.heads import HeadPacking, weighted_sums
from speechbrain_neuronprune.layers.slicing import cut_parameters
from speechbrain_neuronprune.units import UnitGroup
from speechbrain_neuronprune.units.layouts import head_widths, projection_rows

# Where a module keeps what is registered with it.
REGISTRIES = (
    "_parameters",
    "_buffers",
    "_modules",
    "_non_persistent_buffers_set",
)


class UnitAttention:
    """What the three kinds of attention share: projections, gates, heads.

    Attributes: ``query_rows`` and ``value_rows`` (rows per surviving head),
    ``heads`` (which of the original heads survive), ``stock_heads``,
    ``cross`` (whether keys and values come from another sequence).
    """

    rows_per_unit = 1
    # Whether sums of values may be computed the other way round, which suits
    # PyTorch's products, not those of other runtimes.
    turns_sums = True

    @classmethod
    def adopt(cls, stock: nn.Module, cross: bool = False) -> "nn.Module":
        """A layer of ours around a stock layer's own parameters.

        It shares the hooks, so that their handles go on removing them.

        Arguments
        ---------
        stock : nn.Module
            SpeechBrain's layer, of the kind that this class stands for.
        cross : bool
            Whether keys and values come from another sequence.

        Returns
        -------
        nn.Module
            The layer, without gates.
        """
        layer = cls.__new__(cls)
        layer.__dict__ = {
            key: copy.copy(value) if key in REGISTRIES else value
            for key, value in stock.__dict__.items()
            if key != "_compiled_call_impl"  # of the stock layer's forward
        }
        layer.cross = cross
        query, value = head_widths(stock)
        layer.stock_heads = len(query)
        layer.heads = list(range(len(query)))
        layer.query_gate = layer.value_gate = None
        layer._set_heads(query, value)
        return layer

    def _set_heads(
        self, query: tuple[int, ...], value: tuple[int, ...]
    ) -> None:
        self.query_rows, self.value_rows = tuple(query), tuple(value)
        device = next(self.parameters()).device
        of_query, of_value = self._packings(query, value)
        self._even = of_query.even and of_value.even
        heads = (of_query, of_query, of_value)
        filler = 2 * sum(query) + sum(value)
        # Where each padded place of q, k and v is in their joint projection
        rows = torch.cat(
            [
                packing.rows(packed, filler)
                for packing, packed in zip(
                    heads, projection_rows(self), strict=True
                )
            ]
        )
        self.register_buffer("rows", rows.to(device), persistent=False)
        self.query_heads = of_query.to(device).train(self.training)
        self.value_heads = of_value.to(device).train(self.training)

    def _packings(
        self, query: tuple[int, ...], value: tuple[int, ...]
    ) -> tuple[HeadPacking, HeadPacking]:
        return HeadPacking(query), HeadPacking(value)

    def _project(
        self,
        sequences: tuple[Tensor, Tensor, Tensor],
        weight: Tensor,
        bias: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The sequences of queries, keys and values, (batch, time, features)
        -> q, k, v, each (batch, time, heads, width)."""
        query, key, value = sequences
        if not self.cross and query is key and key is value:
            return self._split(F.linear(query, weight, bias))
        rows = [sum(self.query_rows)] * 2 + [sum(self.value_rows)]
        biases = [None] * 3 if bias is None else bias.split(rows)
        q, k, v = map(F.linear, sequences, weight.split(rows), biases)
        heads = self.query_heads
        return heads(q), heads(k), self.value_heads(v)

    def _split(self, joint: Tensor) -> tuple[Tensor, ...]:
        """Joint projection (batch, time, rows) -> q, k, v, each (batch,
        time, heads, width)."""
        if self._even:
            return self._split_even(joint)
        padded = F.pad(joint, (0, 1)).index_select(-1, self.rows)
        heads = (self.query_heads, self.query_heads, self.value_heads)
        widths = [len(self.heads) * one.width for one in heads]
        parts = padded.split(widths, dim=-1)
        return tuple(
            one.unflatten(part) for one, part in zip(heads, parts, strict=True)
        )

    def _split_even(self, joint: Tensor) -> tuple[Tensor, ...]:
        """Heads of one width lie on a grid [q k v] per head: views do."""
        query, value = self.query_rows[0], self.value_rows[0]
        per_head = (len(self.heads), 2 * query + value)
        grid = joint.view(*joint.shape[:-1], *per_head)
        q, k, v = grid.split_with_sizes([query, query, value], dim=-1)
        heads = self.query_heads
        return heads.fill(q), heads.fill(k), self.value_heads.fill(v)

    def _query_mask(self, query: Tensor) -> Tensor | None:
        """The query gate's draw, (batch or 1, 1, heads, width); None where
        there is no gate, or nothing for it to do."""
        if self.query_gate is None or self.query_gate.idle:
            return None
        mask = self.query_gate.mask(len(query)).to(query.dtype)
        mask = mask.repeat_interleave(self.rows_per_unit, dim=-1)
        return self.query_heads(mask).unsqueeze(1)

    def _value_mask(self, value: Tensor) -> Tensor | None:
        """The value gate's draw, (batch or 1, 1, heads, width); None where
        there is no gate, or nothing for it to do."""
        if self.value_gate is None or self.value_gate.idle:
            return None
        mask = self.value_gate.mask(len(value)).to(value.dtype)
        return self.value_heads(mask).unsqueeze(1)

    def _sums(self, weights: Tensor, values: Tensor) -> Tensor:
        """Weighted sums, (heads * batch, L, S) and (heads * batch, S, width)
        -> (heads * batch, L, width)."""
        if self.turns_sums:
            return weighted_sums(weights, values)
        return torch.bmm(weights, values)

    def _merge(self, context: Tensor) -> Tensor:
        """(batch, time, heads, width) -> (batch, time, value rows)."""
        return self.value_heads.pack(context.flatten(2))

    def _own_heads(self, mask: Tensor | None) -> Tensor | None:
        """The surviving heads' part of a mask (batch, heads, L, S)."""
        if mask is None or mask.shape[1] == 1:
            return mask
        return mask[:, self.heads]

    def _four_dims(self, mask: Tensor | None) -> Tensor | None:
        """An attention mask as (batch or 1, heads or 1, L, S)."""
        if mask is None:
            return None
        if mask.ndim == 2:
            return mask[None, None]
        return self._own_heads(mask.unflatten(0, (-1, self.stock_heads)))

    def _check_role(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        """SpeechBrain reads the joint projection in one order if queries,
        keys and values are equal, and in another if not: the units differ."""
        same = query is key and key is value
        same = same or (torch.equal(query, key) and torch.equal(key, value))
        if same == self.cross:
            given = "equal" if same else "different"
            role = "cross-attention" if self.cross else "self-attention"
            raise UnitsError(
                f"A {type(self).__name__} with removable units was given "
                f"{given} queries, keys and values; where it stands, only "
                f"{role} is supported."
            )

    def narrow(
        self, groups: list[UnitGroup], keep: dict[str, Tensor]
    ) -> nn.Module:
        """The layer without the removed units.

        Arguments
        ---------
        groups : list of UnitGroup
            Its groups, of the sites ``query`` and ``value``.
        keep : dict of str to torch.Tensor
            Per site, bool (units,): the units that stay.

        Returns
        -------
        nn.Module
            This layer, changed in place; a ``ConstantAttention`` if no head is
            left.
        """
        query = _per_head(groups, "query", keep["query"])
        value = _per_head(groups, "value", keep["value"])
        alive = [bool(units.any()) for units in value]
        out_proj = self._output_projection()
        if not any(alive):
            return ConstantAttention(bias_of(out_proj), out_proj.out_features)
        # A head without values is gone, whatever its queries say.
        query = [units & one for units, one in zip(query, alive, strict=True)]
        kept = {"query": torch.cat(query), "value": torch.cat(value)}
        cut_parameters(self, groups, kept)
        self._keep_positions(kept["query"])
        self._shrink(query, value, alive)
        out_proj.in_features = sum(self.value_rows)
        return self

    def _shrink(
        self, query: list[Tensor], value: list[Tensor], alive: list[bool]
    ) -> None:
        per_unit = self.rows_per_unit
        self.heads = [
            h for h, one in zip(self.heads, alive, strict=True) if one
        ]
        self._set_heads(
            tuple(
                int(q.sum()) * per_unit
                for q, a in zip(query, alive, strict=True)
                if a
            ),
            tuple(int(v.sum()) for v, a in zip(value, alive, strict=True) if a),
        )

    def _keep_positions(self, kept: Tensor) -> None:
        """For rotary attention: keep the surviving pairs' frequencies."""

    def _fill_positions(self) -> None:
        """For rotary attention: give units of zeros a frequency, too."""

    def _output_projection(self) -> nn.Linear:
        return self.out_proj


def _per_head(groups: list[UnitGroup], site: str, keep: Tensor) -> list[Tensor]:
    widths = next(group.widths for group in groups if group.site == site)
    return list(keep.cpu().split(list(widths)))


def gated(units: Tensor, mask: Tensor | None) -> Tensor:
    """Multiply queries or values by a gate's draw, if there is one.

    Arguments
    ---------
    units : torch.Tensor
        (batch, time, heads, width).
    mask : torch.Tensor or None
        (batch or 1, 1, heads, width).

    Returns
    -------
    torch.Tensor
        As ``units``.

    Example
    -------
    >>> gated(torch.ones(2), torch.tensor([0.0, 1.0]))
    tensor([0., 1.])
    >>> gated(torch.ones(2), None)
    tensor([1., 1.])
    """
    return units if mask is None else units * mask
