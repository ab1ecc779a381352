"""Conformer encoders of some sizes, their compact forms, and their turns.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from speechbrain.lobes.models.transformer.Conformer import ConformerEncoder
from speechbrain.nnet.attention import RelPosEncXL
from torch import Tensor, nn

from speechbrain_neuronprune import PruningPlan, find_units
from speechbrain_neuronprune.report.cost import compare_latency

DENSE = "dense"
ATTENTION = ("RelPosMHAXL", "RoPEMHA")
SHARES = (0.5, 0.25)  # that plans keep
# How alike the shares of heads and layers are: a beta distribution's a + b
CONCENTRATION = 6.0
ROUND_TO = 8


@dataclass(frozen=True)
class Size:
    """An encoder, and the number of frames it is given."""

    layers: int
    d_model: int
    d_ffn: int
    heads: int
    kernel: int
    frames: int
    rounds: int


SIZES = {
    "tiny": Size(1, 16, 32, 2, 3, frames=10, rounds=3),
    "4x96": Size(4, 96, 384, 4, 15, frames=251, rounds=25),
    "12x144": Size(12, 144, 576, 4, 31, frames=251, rounds=25),
    "17x512": Size(17, 512, 2048, 8, 31, frames=251, rounds=25),
}


def build_encoder(size: Size, attention: str) -> ConformerEncoder:
    """Build the dense encoder, in evaluation mode."""
    return ConformerEncoder(
        num_layers=size.layers,
        d_model=size.d_model,
        d_ffn=size.d_ffn,
        nhead=size.heads,
        kernel_size=size.kernel,
        attention_type=attention,
    ).eval()


def even_plan(
    model: nn.Module, share: float, kinds: Sequence[str] | None = None
) -> PruningPlan:
    """Keep the first units of every head or group, of some kinds or all."""
    widths = {
        name: [round(share * width) for width in group.widths]
        for name, group in find_units(model, kinds).items()
    }
    return PruningPlan.from_widths(model, widths)


def ragged_plan(model: nn.Module, share: float) -> PruningPlan:
    """Keep every unit with the probability ``share``."""
    return PruningPlan(
        {
            name: torch.rand(group.size) < share
            for name, group in find_units(model).items()
        }
    )


def retention_scores(model: nn.Module, share: float) -> dict[str, Tensor]:
    """Give every head, or group without heads, a share of units with scores
    above zero; the mean of those shares is ``share``."""
    shares = torch.distributions.Beta(
        share * CONCENTRATION, (1.0 - share) * CONCENTRATION
    )
    return {
        name: torch.cat(
            [-torch.rand(width).sub(shares.sample()) for width in group.widths]
        )
        for name, group in find_units(model).items()
    }


def retention_plan(model: nn.Module, share: float) -> PruningPlan:
    """Keep the units with scores above zero."""
    scores = retention_scores(model, share)
    return PruningPlan.from_scores(scores, model, threshold=0.0)


def rounded_plan(model: nn.Module, share: float) -> PruningPlan:
    """Keep about as many, in numbers that hardware likes."""
    return PruningPlan.from_scores(
        retention_scores(model, share),
        model,
        threshold=0.0,
        round_to=ROUND_TO,
        balance_heads=True,
    )


PLANS = {
    "even": even_plan,
    "ragged": ragged_plan,
    "retention": retention_plan,
    "rounded": rounded_plan,
}


def make_plans(
    model: nn.Module, kinds: Sequence[str] = tuple(PLANS)
) -> dict[str, PruningPlan]:
    """Return the plans of some kinds and all shares; "dense" keeps
    everything."""
    plans = {
        f"{kind} {100 * share:.0f} %": PLANS[kind](model, share)
        for share in SHARES
        for kind in kinds
    }
    return {DENSE: even_plan(model, 1.0), **plans}


def example(size: Size, attention: str, batch: int = 1) -> dict:
    """Return the forward arguments: utterances of one length."""
    source = torch.randn(batch, size.frames, size.d_model)
    if attention != "RelPosMHAXL":
        return {"src": source}
    return {"src": source, "pos_embs": RelPosEncXL(size.d_model)(source)}


def bind(model: nn.Module, arguments: dict) -> Callable[[], object]:
    """Return a function that runs the model on the arguments."""
    return lambda: model(**arguments)


@torch.inference_mode()
def latencies(
    models: dict[str, nn.Module],
    arguments: dict,
    rounds: int,
    clock: Callable[[], float],
) -> dict[str, list[float]]:
    """Time the models in turns."""
    calls = {name: bind(model, arguments) for name, model in models.items()}
    return compare_latency(calls, rounds, clock=clock)
