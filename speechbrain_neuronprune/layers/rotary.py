"""Attention with rotary positions whose units can be gated and removed.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from speechbrain.nnet.attention import RoPEMHA, masks_union
from torch import Tensor, nn

from speechbrain_neuronprune.layers.heads import HeadPacking, product_width
from speechbrain_neuronprune.layers.remembering import LongestTable
from speechbrain_neuronprune.layers.unit_attention import UnitAttention, gated


class RoPEUnitAttention(UnitAttention, RoPEMHA):
    """``RoPEMHA`` with removable units: rotation pairs of the queries.

    The surviving pairs keep the frequencies they were trained with.
    """

    rows_per_unit = 2

    @classmethod
    def adopt(cls, stock: nn.Module, cross: bool = False) -> "nn.Module":
        """A layer of ours around a stock layer's own parameters.

        Arguments
        ---------
        stock : nn.Module
            A ``RoPEMHA``.
        cross : bool
            Whether keys and values come from another sequence.

        Returns
        -------
        nn.Module
            The layer, without gates.
        """
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
        widths = (*query, *value)
        alike = len(set(widths)) == 1
        width = widths[0] if alike else product_width(widths)
        return HeadPacking(query, width), HeadPacking(value, width)

    def _set_heads(
        self, query: tuple[int, ...], value: tuple[int, ...]
    ) -> None:
        super()._set_heads(query, value)
        self._rotations = LongestTable(centred=False)

    def _keep_positions(self, kept: Tensor) -> None:
        index = kept.nonzero().flatten().to(self.pairs.device)
        pairs = self.pairs.index_select(0, index)
        self.register_buffer("pairs", pairs, persistent=True)

    def _fill_positions(self) -> None:
        widths = [rows // 2 for rows in self.query_rows]
        heads = HeadPacking(widths, self.query_heads.width // 2)
        pairs = heads.to(self.pairs.device)(self.pairs).flatten()
        self.register_buffer("pairs", pairs, persistent=True)

    def _rotation(self, times: Tensor) -> Tensor:
        """Cosines and sines, (1, time, heads, pairs, 2), at times, (1,
        time)."""
        exponents = torch.arange(0, self.head_dim, 2, device=times.device)
        frequencies = torch.exp(exponents * -(math.log(1e4) / self.head_dim))
        angles = times.float().unsqueeze(-1) * frequencies
        # (heads, pairs) of the units that are here; padding takes pair 0
        pairs = self.query_heads(self.pairs.repeat_interleave(2))[:, ::2]
        return torch.stack([angles.cos(), angles.sin()], dim=-1)[:, :, pairs]

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
        times = torch.arange(q.shape[1], device=q.device).unsqueeze(0)
        turns = self._rotations(self._rotation, times, [self.pairs])
        q, k = _rotate(q, turns), _rotate(k, turns)
        if self.vbias is not None:
            v = v + self.value_heads(self.value_bias_weight)
        q = gated(q, self._query_mask(q))
        v = gated(v, self._value_mask(v))
        masks = masks_union(
            len(q), k.shape[1], self.stock_heads, attn_mask, key_padding_mask
        )
        context = F.scaled_dot_product_attention(
            *(part.transpose(1, 2) for part in (q, k, v)),
            attn_mask=self._own_heads(masks),
            dropout_p=self.dropout if self.training else 0.0,
            scale=self.scale,
        )
        out = self.out_proj(self._merge(context.transpose(1, 2)))
        return (out, None) if return_attn_weights else out


def _rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Turn the pairs (2i, 2i + 1) of ``x`` (batch, time, heads, width) by
    angles (RoPE, arXiv 2104.09864, eq. 34), given as (1, time, heads, pairs,
    2)."""
    if _is_complex(x):
        product = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
        product = product * torch.view_as_complex(turns)
        return torch.view_as_real(product).flatten(-2)
    cosines, sines = turns.to(x.dtype).unbind(-1)
    even, odd = x[..., ::2], x[..., 1::2]
    turned = (even * cosines - odd * sines, odd * cosines + even * sines)
    return torch.stack(turned, dim=-1).flatten(-2)


def _is_complex(x: Tensor) -> bool:
    """Whether the pairs can be multiplied as complex numbers, in one sweep:
    they must lie so in memory, and other runtimes know none."""
    if x.dtype != torch.float32 or torch.compiler.is_compiling():
        return False
    places = (x.storage_offset(), *x.stride()[:-1])
    return x.stride(-1) == 1 and all(place % 2 == 0 for place in places)
