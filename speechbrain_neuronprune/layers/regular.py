"""SpeechBrain's regular attention whose units can be gated and removed.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from typing import Any

import torch
import torch.nn.functional as F
from speechbrain.nnet.attention import MultiheadAttention
from torch import Tensor, nn

from speechbrain_neuronprune.layers.unit_attention import UnitAttention, gated


class RegularUnitAttention(UnitAttention, MultiheadAttention):
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
        q, k, v = parts
        q = gated(q, self._query_mask(q))
        present = self._value_mask(v)
        q, k, v = (
            part.transpose(1, 2)
            for part in (q * att.head_dim**-0.5, k, gated(v, present))
        )
        padding = None
        if key_padding_mask is not None:
            padding = key_padding_mask[:, None, None, :]
        masks = (self._four_dims(m) for m in (attn_mask, pos_embs))
        scores = torch.matmul(q, k.transpose(-2, -1))
        weights = F.softmax(masked(scores, *masks, padding), dim=-1)
        weights = F.dropout(weights, att.dropout, self.training)
        context = self._sums(weights.flatten(0, 1), v.flatten(0, 1))
        context = context.unflatten(0, v.shape[:2]).transpose(1, 2)
        out = att.out_proj(self._merge(context))
        return (out, _mean(weights, present)) if return_attn_weights else out

    def _split_even(self, joint: Tensor) -> tuple[Tensor, ...]:
        query, value = sum(self.query_rows), sum(self.value_rows)
        q, k, v = joint.split([query, query, value], dim=-1)
        heads = self.query_heads
        return heads(q), heads(k), self.value_heads(v)

    def _output_projection(self) -> nn.Linear:
        return self.att.out_proj


def masked(scores: Tensor, *masks: Tensor | None) -> Tensor:
    """Apply masks to attention scores.

    Float masks are added. Where others say True or 1, nothing is to be seen,
    and the scores are -inf.

    Arguments
    ---------
    scores : torch.Tensor
        (batch, heads, L, S).
    *masks : torch.Tensor or None
        Whatever broadcasts to the scores; None is passed over.

    Returns
    -------
    torch.Tensor
        As ``scores``.

    Example
    -------
    >>> masked(torch.zeros(2), torch.tensor([False, True]), None)
    tensor([0., -inf])
    """
    for mask in masks:
        if mask is None:
            continue
        if mask.is_floating_point():
            scores = scores + mask
        else:
            scores = scores.masked_fill(mask.bool(), -float("inf"))
    return scores


def _mean(weights: Tensor, values: Tensor | None) -> Tensor:
    """The mean of attention weights (batch, heads, L, S) over the heads of
    which the mask ``values`` (batch or 1, 1, heads, width) leaves something:
    the others are not there after compaction."""
    if values is None:
        return weights.mean(1)
    alive = values.detach().amax(-1).mT.unsqueeze(-1)
    return (weights * alive).sum(1) / alive.sum(1).clamp(min=1.0)
