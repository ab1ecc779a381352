"""A recogniser that is cut once, by Torch-Pruning.

Needs the package ``torch-pruning``, which comes with the extra ``test``.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterator, Sequence

import torch
import torch_pruning
from torch import Tensor, nn

from speechbrain_neuronprune.attach import adaptive_dropouts
from speechbrain_neuronprune.brains.recogniser import AdaptiveDropoutASR
from speechbrain_neuronprune.plan import PruningPlan
from speechbrain_neuronprune.rivals.one_shot import OneShotMixin
from speechbrain_neuronprune.units import find_units

# How many of the last steps before the cut give the gradients
STEPS = 20


class TorchPruningASR(OneShotMixin, AdaptiveDropoutASR):
    """Keeps the feed-forward units that its Taylor importance ranks highest
    in all layers together, and everything else, which it cannot cut: its
    graph breaks at the attention and the convolution of a Conformer."""

    def optimizers_step(self) -> None:
        """Note the gradients before they are used up."""
        last = self.hparams.settle_step
        if last is not None and last - STEPS <= self.schedule.step < last:
            self._note_gradients()
        super().optimizers_step()

    @torch.no_grad()
    def _note_gradients(self) -> None:
        sums = self._sums = getattr(self, "_sums", {})
        for name, linears in self._feed_forwards():
            gradients = [linear.weight.grad for linear in linears]
            before = sums.get(name, [torch.zeros_like(g) for g in gradients])
            sums[name] = [a + b for a, b in zip(before, gradients, strict=True)]

    def _feed_forwards(self) -> Iterator[tuple[str, list[nn.Linear]]]:
        for name, group in find_units(self.pruned, ["ffn"]).items():
            layer = self.pruned.get_submodule(group.layer)
            yield (
                name,
                [part for part in layer.modules() if type(part) is nn.Linear],
            )

    def scores(self) -> dict[str, Tensor]:
        """Torch-Pruning's ``GroupTaylorImportance``, relative to its group.

        Returns
        -------
        dict of str to torch.Tensor
            By feed-forward group, (units,).
        """
        return {
            name: taylor_importance(linears, self._sums[name])
            for name, linears in self._feed_forwards()
        }

    def plan_for(self, target: float | int) -> PruningPlan:
        """The plan that leaves a given size, of all groups with a gate.

        Arguments
        ---------
        target : float or int
            Parameters of the whole model: a share or a count.

        Returns
        -------
        PruningPlan
            Which units stay; groups that cannot be cut stay whole.
        """
        keep = {
            name: torch.ones(gate.logits.numel(), dtype=torch.bool)
            for name, gate in adaptive_dropouts(self.pruned).items()
        }
        return PruningPlan(keep | super().plan_for(target).keep)


def taylor_importance(
    linears: Sequence[nn.Linear], gradients: Sequence[Tensor]
) -> Tensor:
    """What Torch-Pruning says of the units between two linear layers.

    Arguments
    ---------
    linears : sequence of torch.nn.Linear
        The layer whose outputs are the units, and that whose inputs are.
    gradients : sequence of torch.Tensor
        Those of their weights.

    Returns
    -------
    torch.Tensor
        (units,), with a mean of one.

    Example
    -------
    >>> linears = nn.Linear(1, 2, bias=False), nn.Linear(2, 1, bias=False)
    >>> for linear in linears:
    ...     _ = nn.init.constant_(linear.weight, 2.0)
    >>> gradients = torch.tensor([[1.0], [3.0]]), torch.tensor([[-1.0, 3.0]])
    >>> taylor_importance(linears, gradients)
    tensor([0.5000, 1.5000])
    """
    pair = nn.Sequential()
    for linear, gradient in zip(linears, gradients, strict=True):
        copy = nn.Linear(linear.in_features, linear.out_features, bias=False)
        copy.weight.data.copy_(linear.weight.detach())
        copy.weight.grad = gradient.to(copy.weight)
        pair.append(copy)
    example = torch.zeros(1, pair[0].in_features)
    graph = torch_pruning.DependencyGraph().build_dependency(pair, example)
    group = graph.get_pruning_group(
        pair[0],
        torch_pruning.prune_linear_out_channels,
        idxs=list(range(pair[0].out_features)),
    )
    return torch_pruning.importance.GroupTaylorImportance()(group)
