"""Attention whose query and value units can be gated and removed.

One class per SpeechBrain attention serves all three forms - gated, masked and
compact - because they differ in widths only: heads may have any number of
query units and of value units. Parameter names are the stock ones.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy
import math
from typing import Any

import torch
import torch.nn.functional as F
from speechbrain.nnet.attention import (
    MultiheadAttention,
    RelPosMHAXL,
    RoPEMHA,
    masks_union,
)
from torch import Tensor, nn

from speechbrain_neuronprune.errors import UnitsError
from speechbrain_neuronprune.gates.gate import UnitGate
from speechbrain_neuronprune.layers.constant import ConstantAttention, bias_of
from speechbrain_neuronprune.layers.heads import HeadPacking
from speechbrain_neuronprune.layers.slicing import cut_parameters
from speechbrain_neuronprune.units import (
    UnitGroup,
    head_widths,
    projection_rows,
)


class _UnitAttention:
    """What the three kinds of attention share: projections, gates, heads.

    Attributes: ``query_rows`` and ``value_rows`` (rows per surviving head),
    ``heads`` (which of the original heads survive), ``stock_heads``,
    ``cross`` (whether keys and values come from another sequence).
    """

    rows_per_unit = 1

    @classmethod
    def adopt(cls, stock: nn.Module, cross: bool = False) -> "nn.Module":
        """A layer of ours around a stock layer's own parameters."""
        layer = cls.__new__(cls)
        layer.__dict__ = {
            key: copy.copy(value) if isinstance(value, (dict, set)) else value
            for key, value in stock.__dict__.items()
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
        packings = (of_query, of_query, of_value)
        filler = 2 * sum(query) + sum(value)
        names = ("q_rows", "k_rows", "v_rows")
        for name, heads, rows in zip(
            names, packings, projection_rows(self), strict=True
        ):
            index = heads.rows(rows, filler).to(device)
            self.register_buffer(name, index, persistent=False)
        self.query_heads = of_query.to(device)
        self.value_heads = of_value.to(device)

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

    def _split(self, joint: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Joint projection (batch, time, rows) -> q, k, v, each (batch,
        time, heads, width)."""
        if self._even:
            return self._split_even(joint)
        joint = F.pad(joint, (0, 1))
        return (
            self.query_heads.unflatten(joint.index_select(-1, self.q_rows)),
            self.query_heads.unflatten(joint.index_select(-1, self.k_rows)),
            self.value_heads.unflatten(joint.index_select(-1, self.v_rows)),
        )

    def _split_even(self, joint: Tensor) -> tuple[Tensor, ...]:
        """Heads of one width lie on a grid [q k v] per head: views do."""
        query, value = self.query_heads.width, self.value_heads.width
        grid = joint.unflatten(-1, (len(self.heads), -1))
        return grid.split([query, query, value], dim=-1)

    def _query_mask(self, batch: int, like: Tensor) -> Tensor:
        """The query gate's draw, (batch or 1, heads, 1, width)."""
        mask = self.query_gate.mask(batch).to(like.dtype)
        mask = mask.repeat_interleave(self.rows_per_unit, dim=-1)
        return self.query_heads(mask).unsqueeze(2)

    def _value_mask(self, value: Tensor) -> Tensor | None:
        """The value gate's draw, (batch or 1, heads, 1, width); None where
        there is no gate."""
        if self.value_gate is None:
            return None
        mask = self.value_gate.mask(len(value)).to(value.dtype)
        return self.value_heads(mask).unsqueeze(2)

    def _merge(self, context: Tensor) -> Tensor:
        """(batch, heads, time, width) -> (batch, time, value rows)."""
        return self.value_heads.pack(context.transpose(1, 2).flatten(2))

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
        """The layer without the removed units (changes this one)."""
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

    def _output_projection(self) -> nn.Linear:
        return self.out_proj


def _per_head(groups: list[UnitGroup], site: str, keep: Tensor) -> list[Tensor]:
    widths = next(group.widths for group in groups if group.site == site)
    return list(keep.cpu().split(list(widths)))


def _gated(value: Tensor, mask: Tensor | None) -> Tensor:
    return value if mask is None else value * mask


def _mean(weights: Tensor, values: Tensor | None) -> Tensor:
    """The mean of attention weights (batch, heads, L, S) over the heads of
    which the mask ``values`` (batch or 1, heads, 1, width) leaves something:
    the others are not there after compaction."""
    if values is None:
        return weights.mean(1)
    alive = values.detach().amax(-1, keepdim=True)
    return (weights * alive).sum(1) / alive.sum(1).clamp(min=1.0)


def _refill(scores: Tensor, *masks: Tensor | None) -> Tensor:
    """Zero the masked positions: rows without any key are NaN after the
    softmax, which happens in chunked training."""
    for mask in masks:
        if mask is not None and mask.dtype == torch.bool:
            scores = scores.masked_fill(mask, 0.0)
    return scores


def _masked(scores: Tensor, *masks: Tensor | None) -> Tensor:
    """Add float masks to the scores, fill boolean ones with -inf."""
    for mask in masks:
        if mask is None:
            continue
        if mask.dtype == torch.bool:
            scores = scores.masked_fill(mask, -float("inf"))
        else:
            scores = scores + mask
    return scores


class RelPosUnitAttention(_UnitAttention, RelPosMHAXL):
    """``RelPosMHAXL`` with removable units.

    The query gate multiplies q + u and q + v, after the positional biases
    and with one draw for both. Gating q alone would leave u_d * k_d and
    v_d * p_d alive, and removing the unit would not be exact.
    """

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        pos_embs: Tensor,
        key_padding_mask: Tensor | None = None,
        attn_mask: Tensor | None = None,
        return_attn_weights: bool = True,
    ) -> Any:
        """As ``RelPosMHAXL.forward``."""
        self._check_role(query, key, value)
        if not self.cross:
            key = value = query  # equal copies, perhaps
        parts = self._project((query, key, value), self.in_proj_weight)
        q, k, v = (part.transpose(1, 2) for part in parts)
        if self.vbias is not None:
            v = v + self.value_heads(self.value_bias_weight).unsqueeze(1)
        scores = self._scores(q, k, pos_embs)
        padding = None
        if key_padding_mask is not None:
            padding = key_padding_mask[:, None, None, :].bool()
        mask = self._four_dims(attn_mask)
        weights = F.softmax(
            _masked(scores, mask, padding), dim=-1, dtype=torch.float32
        )
        weights = _refill(self.dropout_att(weights), mask, padding)
        context = torch.matmul(
            weights.to(v.dtype), _gated(v, self._value_mask(v))
        )
        out = self.out_proj(self._merge(context))
        return (out, weights) if return_attn_weights else out

    def _scores(self, q: Tensor, k: Tensor, pos_embs: Tensor) -> Tensor:
        """Content and position scores, (batch, heads, L, S)."""
        p = self.query_heads(self.linear_pos(pos_embs)).transpose(1, 2)
        with_u, with_v = (
            q + self.query_heads(bias.flatten()).unsqueeze(1)
            for bias in (self.pos_bias_u, self.pos_bias_v)
        )
        if self.query_gate is not None:
            mask = self._query_mask(len(q), q)
            with_u, with_v = with_u * mask, with_v * mask
        position = torch.matmul(with_v * self.scale, p.transpose(-2, -1))
        # One kernel multiplies and adds: the scores are what costs the most
        # beyond the products themselves.
        scores = torch.baddbmm(
            self.rel_shift(position).flatten(0, 1),
            (with_u * self.scale).flatten(0, 1),
            k.flatten(0, 1).transpose(-2, -1),
        )
        return scores.unflatten(0, position.shape[:2])

    def rel_shift(self, x: Tensor) -> Tensor:
        """Position scores by distance, (batch, heads, L, 2L - 1), to scores
        by key, (batch, heads, L, L): out[i, j] = x[i, L - 1 - i + j].

        In memory each row of the result begins one place earlier in its row
        of ``x`` than the row before, so a view does without the copies of
        the stock method.
        """
        length, distances = x.shape[-2:]
        by_view = length > 1 and distances == 2 * length - 1
        if self.mask_pos_future or not by_view:
            return super().rel_shift(x)
        step = distances - 1
        diagonal = x.flatten(-2)[..., length - 1 : length - 1 + length * step]
        return diagonal.unflatten(-1, (length, step))[..., :length]


class RoPEUnitAttention(_UnitAttention, RoPEMHA):
    """``RoPEMHA`` with removable units: rotation pairs of the queries.

    The surviving pairs keep the frequencies they were trained with.
    """

    rows_per_unit = 2

    @classmethod
    def adopt(cls, stock: nn.Module, cross: bool = False) -> "nn.Module":
        """A layer of ours around a stock layer's own parameters."""
        layer = super().adopt(stock, cross)
        pairs = torch.arange(layer.head_dim // 2).repeat(layer.stock_heads)
        pairs = pairs.to(layer.in_proj_weight.device)
        # Not saved while it can be recomputed: stock checkpoints lack it.
        layer.register_buffer("pairs", pairs, persistent=False)
        return layer

    def _packings(
        self, query: tuple[int, ...], value: tuple[int, ...]
    ) -> tuple[HeadPacking, HeadPacking]:
        """The fused attention kernel wants queries and values of one width;
        a few zeros cost less than doing without it."""
        width = max(self.rows_per_unit, *query, *value)
        width += width % self.rows_per_unit
        return HeadPacking(query, width), HeadPacking(value, width)

    def _keep_positions(self, kept: Tensor) -> None:
        index = kept.nonzero().flatten().to(self.pairs.device)
        pairs = self.pairs.index_select(0, index)
        self.register_buffer("pairs", pairs, persistent=True)

    def _rotation(self, length: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines, (time, heads, pairs), in ``like``'s dtype."""
        exponents = torch.arange(0, self.head_dim, 2, device=like.device)
        frequencies = torch.exp(exponents * -(math.log(1e4) / self.head_dim))
        times = torch.arange(length, device=like.device)
        angles = torch.outer(times.float(), frequencies)
        # (heads, pairs) of the units that are here; padding takes pair 0
        pairs = self.query_heads(self.pairs.repeat_interleave(2))[:, ::2]
        cosines, sines = angles.cos()[:, pairs], angles.sin()[:, pairs]
        return cosines.to(like.dtype), sines.to(like.dtype)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        attn_mask: Tensor | None = None,
        pos_embs: Tensor | None = None,
        return_attn_weights: bool = True,
    ) -> Any:
        """As ``RoPEMHA.forward``, for self-attention."""
        self._check_role(query, key, value)
        q, k, v = self._split(F.linear(query, self.in_proj_weight))
        rotation = self._rotation(q.shape[1], q)
        q, k = _rotate(q, *rotation), _rotate(k, *rotation)
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        if self.vbias is not None:
            v = v + self.value_heads(self.value_bias_weight).unsqueeze(1)
        if self.query_gate is not None:
            q = q * self._query_mask(len(q), q)
        masks = masks_union(
            len(q), k.shape[2], self.stock_heads, attn_mask, key_padding_mask
        )
        context = F.scaled_dot_product_attention(
            q,
            k,
            _gated(v, self._value_mask(v)),
            attn_mask=self._own_heads(masks),
            dropout_p=self.dropout if self.training else 0.0,
            scale=self.scale,
        )
        out = self.out_proj(self._merge(context))
        return (out, None) if return_attn_weights else out


def _rotate(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Turn the pairs (2i, 2i + 1) of ``x`` (batch, time, heads, width) by
    their angles (RoPE, arXiv 2104.09864, eq. 34)."""
    even, odd = x[..., ::2], x[..., 1::2]
    turned = (even * cosines - odd * sines, odd * cosines + even * sines)
    return torch.stack(turned, dim=-1).flatten(-2)


class RegularUnitAttention(_UnitAttention, MultiheadAttention):
    """SpeechBrain's ``MultiheadAttention`` with removable units.

    The gates act after the projections' biases, so removing a unit takes its
    bias along.
    """

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        return_attn_weights: bool = True,
        pos_embs: Tensor | None = None,
    ) -> Any:
        """As ``MultiheadAttention.forward``; the weights returned are the
        mean over the heads that have values."""
        att, sequences = self.att, (query, key, value)
        parts = self._project(sequences, att.in_proj_weight, att.in_proj_bias)
        q, k, v = (part.transpose(1, 2) for part in parts)
        if self.query_gate is not None:
            q = q * self._query_mask(len(q), q)
        scores = torch.matmul(q * att.head_dim**-0.5, k.transpose(-2, -1))
        padding = None
        if key_padding_mask is not None:
            padding = key_padding_mask[:, None, None, :]
        masks = (self._four_dims(m) for m in (attn_mask, pos_embs))
        weights = F.softmax(_masked(scores, *masks, padding), dim=-1)
        weights = F.dropout(weights, att.dropout, self.training)
        present = self._value_mask(v)
        out = att.out_proj(self._merge(weights @ _gated(v, present)))
        return (out, _mean(weights, present)) if return_attn_weights else out

    def _split_even(self, joint: Tensor) -> tuple[Tensor, ...]:
        query, value = sum(self.query_rows), sum(self.value_rows)
        q, k, v = joint.split([query, query, value], dim=-1)
        heads = self.query_heads
        return heads(q), heads(k), self.value_heads(v)

    def _output_projection(self) -> nn.Linear:
        return self.att.out_proj


class AttentionForm:
    """How the three kinds of attention are gated and narrowed."""

    UNIT_CLASSES = {
        RelPosMHAXL: RelPosUnitAttention,
        RoPEMHA: RoPEUnitAttention,
        MultiheadAttention: RegularUnitAttention,
    }

    @classmethod
    def _ours(cls, layer: nn.Module, cross: bool) -> nn.Module:
        if isinstance(layer, _UnitAttention):
            return layer
        return cls.UNIT_CLASSES[type(layer)].adopt(layer, cross)

    @staticmethod
    def get_gate(layer: nn.Module, group: UnitGroup) -> UnitGate | None:
        """The gate in place, or None."""
        return getattr(layer, f"{group.site}_gate", None)

    @classmethod
    def set_gate(
        cls, layer: nn.Module, group: UnitGroup, gate: UnitGate | None
    ) -> nn.Module:
        """A layer with the gate in place (None removes it)."""
        layer = cls._ours(layer, group.cross)
        setattr(layer, f"{group.site}_gate", gate)
        return layer

    @classmethod
    def narrow(
        cls,
        layer: nn.Module,
        groups: list[UnitGroup],
        keep: dict[str, Tensor],
    ) -> nn.Module:
        """The layer without the removed units."""
        if all(units.all() for units in keep.values()):
            return layer
        return cls._ours(layer, groups[0].cross).narrow(groups, keep)
