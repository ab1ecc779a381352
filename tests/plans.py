"""Plans of many styles, and weights that no error hides behind.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import torch

from speechbrain_neuronprune import PruningPlan, find_units

PLANS = (
    "random",
    "sparse",
    "one unit",
    "nothing",
    "everything",
    "a head",
    "all heads",
    "no queries",
    "no channels",
    "no feed-forward",
    "empty first block",
)


def randomize(model):
    """Give biases, norms and positional biases values that matter, and to
    the weights that begin near zero."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1 or "pos_bias" in name:
                parameter.normal_(0.3, 0.5)
            elif parameter.abs().max() < 1e-4:
                parameter.normal_(0.0, 0.3)


def make_plan(model, style, seed=0):
    """A plan of a given style, retention-made ones aside."""
    generator = torch.Generator().manual_seed(seed)
    keep = {}
    for name, group in find_units(model).items():
        share = 0.1 if style == "sparse" else 0.5
        units = torch.rand(group.size, generator=generator) < share
        keep[name] = _styled(style, name, group, units, generator)
    return PruningPlan(keep)


def _styled(style, name, group, units, generator):
    empty = torch.zeros_like(units)
    if style == "one unit":
        empty[torch.randint(group.size, (1,), generator=generator)] = True
        return empty
    if style == "everything":
        return ~empty
    if style == "a head" and len(group.widths) > 1:
        units[: group.widths[0]] = False
    emptied = {
        "nothing": True,
        "all heads": group.kind == "value",
        "no queries": group.kind == "query",
        "no channels": group.kind == "conv",
        "no feed-forward": group.kind == "ffn",
        "empty first block": "layers.0." in name,
    }
    return empty if emptied.get(style, False) else units
