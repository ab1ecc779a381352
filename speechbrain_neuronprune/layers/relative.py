"""Attention with relative positions whose units can be gated and removed.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from typing import Any, NamedTuple

import torch
from speechbrain.nnet.attention import RelPosMHAXL
from torch import Tensor, nn

from speechbrain_neuronprune.layers.attention_masks import Masks
from speechbrain_neuronprune.layers.diagonals import diagonals
from speechbrain_neuronprune.layers.eager import is_eager
from speechbrain_neuronprune.layers.hooks import is_watched
from speechbrain_neuronprune.layers.remembering import LongestTable
from speechbrain_neuronprune.layers.unit_attention import UnitAttention, gated

# Queries whose scores are computed at a time, about: few enough for a
# processor's cache and for little waste on distances that none of them needs,
# enough for the products to be large. 10 s of speech are one block.
BLOCK = 256
# Columns that do not fill a processor's registers.
FEW = 16


class _Sides(NamedTuple):
    """What meets: queries with two biases, (heads, batch, L, width); keys and
    values, (heads * batch, S, width); distances, (distances, heads, width);
    and which do not."""

    with_u: Tensor
    with_v: Tensor
    k: Tensor
    v: Tensor
    distances: Tensor
    masks: Masks

    def of(self, rows: slice) -> "_Sides":
        """Those of a block of queries, of as many keys as queries."""
        length = self.with_u.shape[2]
        return self._replace(
            with_u=self.with_u[:, :, rows],
            with_v=self.with_v[:, :, rows],
            distances=self.distances[
                length - rows.stop : 2 * length - 1 - rows.start
            ],
            masks=self.masks.of_queries(rows),
        )


class RelPosUnitAttention(UnitAttention, RelPosMHAXL):
    """``RelPosMHAXL`` with removable units.

    The query gate multiplies q + u and q + v, after the positional biases
    and with one draw for both. Gating q alone would leave u_d * k_d and
    v_d * p_d alive, and removing the unit would not be exact.

    On a CPU, queries take turns in blocks. Some hundred queries would need
    the scores of all distances, of which each uses half; a block needs little
    more than it uses.
    """

    def _set_heads(
        self, query: tuple[int, ...], value: tuple[int, ...]
    ) -> None:
        super()._set_heads(query, value)
        self._positions = LongestTable(centred=True)

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
        q, k, v = self._project((query, key, value), self.in_proj_weight)
        if self.vbias is not None:
            v = v + self.value_heads(self.value_bias_weight)
        with_u, with_v = self._with_biases(q)
        v = gated(v, self._value_mask(v))
        sides = _Sides(
            _heads_first(with_u),
            _heads_first(with_v),
            _heads_first(k).flatten(0, 1),
            _heads_first(v).flatten(0, 1),
            self._distances(pos_embs).flatten(0, 1),
            self._masks(attn_mask, key_padding_mask),
        )
        context, weights = self._attend(sides, return_attn_weights)
        out = self.out_proj(self._merge(context.permute(1, 2, 0, 3)))
        return (out, weights.transpose(0, 1)) if return_attn_weights else out

    def _with_biases(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """What meets keys, and what meets positions, (batch, time, heads,
        width)."""
        biases = (self.pos_bias_u, self.pos_bias_v)
        with_u, with_v = (q + self.query_heads(b.flatten()) for b in biases)
        mask = self._query_mask(q)
        return gated(with_u, mask), gated(with_v, mask)

    def _distances(self, embeddings: Tensor) -> Tensor:
        """The projections of distances, scaled, (1, distances, heads,
        width)."""
        linear = self.linear_pos

        def project(embeddings: Tensor) -> Tensor:
            return self.query_heads(linear(embeddings)) * self.scale

        ordinary = type(linear) is nn.Linear and torch.is_tensor(linear.weight)
        if self.training or not ordinary or is_watched(linear):
            return project(embeddings)
        return self._positions(project, embeddings, [*linear.parameters()])

    def _masks(self, attn_mask: Tensor | None, padding: Tensor | None) -> Masks:
        """The masks there are, (heads or 1, batch or 1, L or 1, S)."""
        masks = []
        if attn_mask is not None:
            masks.append(self._four_dims(attn_mask).transpose(0, 1))
        if padding is not None:
            masks.append(padding[None, :, None, :].bool())
        return Masks.of(masks)

    def _attend(
        self, sides: _Sides, weighted: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Context, (heads, batch, L, width), and weights, (heads, batch, L,
        S)."""
        if self._at_once(sides):
            return self._attend_from(sides)
        first, length = sides.with_u.shape[:2], sides.with_u.shape[2]
        context = sides.v.new_empty(*first, length, sides.v.shape[2])
        weights = None
        if weighted:
            weights = context.new_empty(
                *first, length, length, dtype=torch.float32
            )
        for rows in _blocks(length):
            place = None if weights is None else weights[:, :, rows]
            context[:, :, rows], _ = self._attend_from(sides.of(rows), place)
        return context, weights

    def _at_once(self, sides: _Sides) -> bool:
        """Whether no query waits: in training, where scores are kept for
        gradients, on accelerators, in short utterances, and in graphs, which
        are for any length if no block is cut."""
        length = sides.with_u.shape[2]
        return (
            self.training
            or torch.is_grad_enabled()
            or not is_eager()
            or sides.v.device.type != "cpu"
            or len(sides.distances) != 2 * length - 1
            or len(_blocks(length)) == 1
        )

    def _attend_from(
        self, sides: _Sides, place: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Context and weights of all queries that there are; the weights are
        written to a place, if there is one."""
        scores = torch.baddbmm(
            self._by_key(sides.with_v, sides.distances, sides.k.shape[1]),
            sides.with_u.flatten(0, 1),
            sides.k.mT,
            alpha=self.scale,
        ).unflatten(0, sides.with_u.shape[:2])
        weights = torch.softmax(
            sides.masks.close(scores), dim=-1, dtype=torch.float32, out=place
        )
        weights = sides.masks.clear(self.dropout_att(weights))
        if place is not None and weights is not place:
            place.copy_(weights)
        context = _sums(weights.flatten(0, 1).to(sides.v.dtype), sides.v)
        return context.unflatten(0, scores.shape[:2]), weights

    def _by_key(self, with_v: Tensor, distances: Tensor, keys: int) -> Tensor:
        """Position scores, (heads * batch, L, S)."""
        scores = torch.bmm(with_v.flatten(1, 2), distances.permute(1, 2, 0))
        scores = scores.unflatten(1, with_v.shape[1:3])
        if scores.shape[-1] == keys + scores.shape[-2] - 1:
            return diagonals(scores).flatten(0, 1)
        return self.rel_shift(scores).flatten(0, 1)


def _heads_first(x: Tensor) -> Tensor:
    """(batch, time, heads, width) -> (heads, batch, time, width)."""
    return x.permute(2, 0, 1, 3)


def _sums(weights: Tensor, values: Tensor) -> Tensor:
    """Weighted sums of values, (n, L, S) and (n, S, width) -> (n, L, width).
    A product with few columns takes a CPU longer than one with few rows: with
    8, almost four times as long."""
    if values.shape[-1] < FEW and values.device.type == "cpu":
        return torch.bmm(values.mT, weights.mT).mT
    return torch.bmm(weights, values)


def _blocks(length: int) -> list[slice]:
    """The queries that take turns."""
    count = max(1, round(length / BLOCK))
    size = -(-length // count)
    return [
        slice(start, min(start + size, length))
        for start in range(0, length, size)
    ]
