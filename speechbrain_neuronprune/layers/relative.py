"""Attention with relative positions whose units can be gated and removed.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from functools import lru_cache
from typing import Any, NamedTuple

import torch
from speechbrain.nnet.attention import RelPosMHAXL
from torch import Tensor, nn

from speechbrain_neuronprune.layers.attention_masks import OPEN, Masks
from speechbrain_neuronprune.layers.diagonals import (
    diagonals,
    strided_diagonals,
)
from speechbrain_neuronprune.layers.dropout import is_idle
from speechbrain_neuronprune.layers.eager import is_plain
from speechbrain_neuronprune.layers.hooks import is_watched
from speechbrain_neuronprune.layers.remembering import LongestTable
from speechbrain_neuronprune.layers.unit_attention import UnitAttention, gated

# Queries whose scores are computed at a time, about: few enough for a
# processor's cache, enough for the products to be large. 10 s of speech are one
# block.
BLOCK = 256
# Queries whose scores by distance are computed at a time: fewer, for less waste
# on distances that none of them needs.
STRIP = 96


class _Sides(NamedTuple):
    """What meets: queries with two biases, (heads * batch, L, width) and
    (heads, batch, L, width); keys and values, (heads * batch, S, width);
    distances, (heads, width, distances); which do not; and whether queries
    may take turns."""

    with_u: Tensor
    with_v: Tensor
    k: Tensor
    v: Tensor
    distances: Tensor
    masks: Masks
    in_turns: bool

    def of(self, rows: slice) -> "_Sides":
        """Those of a block of queries."""
        return self._replace(
            with_u=self.with_u[:, rows],
            with_v=self.with_v[:, :, rows],
            distances=self.distances_of(rows),
            masks=self.masks.of_queries(rows),
        )

    def distances_of(self, rows: slice) -> Tensor:
        """Those from a block of queries to any key."""
        first = self.with_u.shape[1] - rows.stop
        last = self.distances.shape[2] - rows.start
        return self.distances[:, :, first:last]


class RelPosUnitAttention(UnitAttention, RelPosMHAXL):
    """``RelPosMHAXL`` with removable units.

    The query gate multiplies q + u and q + v, after the positional biases
    and with one draw for both. Gating q alone would leave u_d * k_d and
    v_d * p_d alive, and removing the unit would not be exact.

    On a CPU, queries take turns in blocks. All at once would need the scores
    of all distances, of which each query uses half; a block needs little more
    than it uses.
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
        plain = not self.training and is_plain(q)
        distances = self._distances(pos_embs, plain)[0].permute(1, 2, 0)
        whole = distances.shape[2] == q.shape[1] + k.shape[1] - 1
        sides = _Sides(
            _heads_first(with_u).flatten(0, 1),
            _heads_first(with_v),
            _heads_first(k).flatten(0, 1),
            _heads_first(v).flatten(0, 1),
            distances,
            self._masks(attn_mask, key_padding_mask),
            plain and whole,
        )
        context, weights = self._attend(sides, return_attn_weights)
        first = sides.with_v.shape[:2]
        context = torch.unflatten(context, 0, first).permute(1, 2, 0, 3)
        out = self.out_proj(self._merge(context))
        if not return_attn_weights:
            return out
        return out, torch.unflatten(weights, 0, first).transpose(0, 1)

    def _with_biases(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """What meets keys, and what meets positions, (batch, time, heads,
        width)."""
        with_u = q + self._per_head(self.pos_bias_u)
        with_v = q + self._per_head(self.pos_bias_v)
        mask = self._query_mask(q)
        if mask is None:
            return with_u, with_v
        return with_u * mask, with_v * mask

    def _per_head(self, bias: Tensor) -> Tensor:
        """A bias of all queries' units, (heads, width)."""
        if self._even:
            heads = bias.reshape(len(self.heads), self.query_rows[0])
            return self.query_heads.fill(heads)
        return self.query_heads(bias.flatten())

    def _distances(self, embeddings: Tensor, plain: bool) -> Tensor:
        """The projections of distances, scaled, (1, distances, heads,
        width)."""
        linear = self.linear_pos

        def project(embeddings: Tensor) -> Tensor:
            return self.query_heads(linear(embeddings)) * self.scale

        if not plain or type(linear) is not nn.Linear or is_watched(linear):
            return project(embeddings)
        weights = linear._parameters.values()
        return self._positions.look_up(project, embeddings, weights)

    def _masks(self, attn_mask: Tensor | None, padding: Tensor | None) -> Masks:
        """The masks there are, (heads or 1, batch or 1, L or 1, S)."""
        if attn_mask is None and padding is None:
            return OPEN
        masks = []
        if attn_mask is not None:
            masks.append(self._four_dims(attn_mask).transpose(0, 1))
        if padding is not None:
            masks.append(padding[None, :, None, :].bool())
        return Masks.of(masks)

    def _attend(
        self, sides: _Sides, weighted: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Context, (heads * batch, L, width), and weights, (heads * batch, L,
        S)."""
        rows, length, _ = sides.with_u.shape
        blocks = _blocks(length, BLOCK) if sides.in_turns else ()
        if len(blocks) < 2:
            return self._attend_from(sides)
        context = sides.v.new_empty(rows, length, sides.v.shape[2])
        weights = None
        if weighted:
            weights = context.new_empty(
                rows, length, sides.k.shape[1], dtype=torch.float32
            )
        for block in blocks:
            place = None if weights is None else weights[:, block]
            context[:, block], _ = self._attend_from(sides.of(block), place)
        return context, weights

    def _attend_from(
        self, sides: _Sides, place: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Context and weights of all queries that there are; the weights are
        written to a place, if there is one."""
        weights = self._weights(sides, place)
        dropout = self.dropout_att
        if not is_idle(dropout):
            by_head = weights.unflatten(0, sides.with_v.shape[:2])
            weights = dropout(by_head).flatten(0, 1)
        if place is not None and weights is not place:
            place.copy_(weights)
        given = weights
        if given.dtype != sides.v.dtype:
            given = given.to(sides.v.dtype)
        return self._sums(given, sides.v), weights

    def _weights(self, sides: _Sides, place: Tensor | None) -> Tensor:
        """Weights before dropout, at a place if they can be."""
        scores, masks = self._scores(sides), sides.masks
        if masks is OPEN:
            return _softmax(scores, sides.in_turns, place)
        by_head = scores.unflatten(0, sides.with_v.shape[:2])
        weights = _softmax(masks.close(by_head), sides.in_turns)
        return masks.clear(weights).flatten(0, 1)

    def _scores(self, sides: _Sides) -> Tensor:
        """Scores before masks, (heads * batch, L, S)."""
        with_u, keys = sides.with_u, sides.k.mT
        length = with_u.shape[1]
        strips = _blocks(length, STRIP) if sides.in_turns else ()
        if len(strips) < 2 or with_u.dtype != keys.dtype:  # in autocast
            by_key = self._by_key(sides)
            return torch.baddbmm(by_key, with_u, keys, alpha=self.scale)
        scores = keys.new_empty(keys.shape[0], length, keys.shape[2])
        for rows in strips:
            with_v = sides.with_v[:, :, rows]
            products = with_v.flatten(1, 2), sides.distances_of(rows)
            by_distance = torch.bmm(*products)
            scores[:, rows] = strided_diagonals(by_distance, with_v.shape[2])
        return scores.baddbmm_(with_u, keys, alpha=self.scale)

    def _by_key(self, sides: _Sides) -> Tensor:
        """Position scores, (heads * batch, L, S)."""
        rows, length, _ = sides.with_u.shape
        scores = torch.bmm(sides.with_v.flatten(1, 2), sides.distances)
        if scores.shape[2] == sides.k.shape[1] + length - 1:
            return diagonals(scores.view(rows, length, scores.shape[2]))
        scores = scores.unflatten(1, sides.with_v.shape[1:3])
        return self.rel_shift(scores).flatten(0, 1)


def _softmax(
    scores: Tensor, plain: bool, place: Tensor | None = None
) -> Tensor:
    """Weights, which take the place of scores that nobody asks for again: new
    memory costs more than the softmax if an encoder's weights are collected."""
    if place is None and plain and scores.dtype == torch.float32:
        place = scores
    return torch.softmax(scores, dim=-1, dtype=torch.float32, out=place)


def _heads_first(x: Tensor) -> Tensor:
    """(batch, time, heads, width) -> (heads, batch, time, width)."""
    return x.permute(2, 0, 1, 3)


@lru_cache
def _blocks(length: int, about: int) -> tuple[slice, ...]:
    """The queries that take turns, about so many at a time."""
    count = max(1, round(length / about))
    size = -(-length // count)
    return tuple(
        slice(start, min(start + size, length))
        for start in range(0, length, size)
    )
