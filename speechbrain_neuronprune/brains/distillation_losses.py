"""What a student loses against its teacher: posteriors and blocks.

A pruned model is a student of the dense one that it began as. Pruning leaves
the width between blocks as it is, so outputs of blocks can be compared as they
are, without projections.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechbrain_neuronprune.layers.block import NORMS
from speechbrain_neuronprune.padding import frames_of

BLOCKS = tuple(NORMS)  # the classes


def posterior_loss(
    student: Tensor, teacher: Tensor, lengths: Tensor, temperature: float = 1.0
) -> Tensor:
    r"""How far the student's posteriors are from the teacher's.

    The Kullback-Leibler divergence at every frame, and its mean over the
    valid ones (Hinton et al. 2015),

    .. math::
        \frac{T^2}{F} \sum_f \sum_k p_{fk} \log \frac{p_{fk}}{q_{fk}},
        \qquad p_f = \mathrm{softmax}(x_f / T),

    p being the teacher's and q the student's. Gradients do not shrink with T
    because of the factor T^2.

    Arguments
    ---------
    student : torch.Tensor
        Activations before the softmax, (batch, frames, tokens).
    teacher : torch.Tensor
        The same of the teacher.
    lengths : torch.Tensor
        Relative lengths, (batch,).
    temperature : float
        T; above 1, tokens that the teacher rules out count more.

    Returns
    -------
    torch.Tensor
        A scalar.

    Example
    -------
    >>> teacher = torch.tensor([[[4.0, 0.0], [0.0, 4.0]]])
    >>> lengths = torch.ones(1)
    >>> posterior_loss(teacher, teacher, lengths)
    tensor(0.)
    >>> posterior_loss(-teacher, teacher, lengths) > 3
    tensor(True)
    """
    valid = frames_of(student, lengths)
    own, taught = (
        (activations[valid].float() / temperature).log_softmax(-1)
        for activations in (student, teacher)
    )
    loss = F.kl_div(own, taught, reduction="batchmean", log_target=True)
    return temperature**2 * loss


def block_loss(
    student: Sequence[Tensor], teacher: Sequence[Tensor], lengths: Tensor
) -> Tensor:
    """How far the outputs of the student's blocks are from the teacher's.

    The mean squared difference over blocks, valid frames and channels. A
    block ends with a layer norm, so blocks count about alike.

    Arguments
    ---------
    student : sequence of torch.Tensor
        Per block, (batch, frames, channels).
    teacher : sequence of torch.Tensor
        The same of the teacher.
    lengths : torch.Tensor
        Relative lengths, (batch,).

    Returns
    -------
    torch.Tensor
        A scalar.

    Example
    -------
    >>> block = torch.zeros(1, 4, 2)
    >>> block_loss([block, block], [block, block + 2], torch.ones(1))
    tensor(2.)
    """
    losses = []
    for own, taught in zip(student, teacher, strict=True):
        valid = frames_of(own, lengths)
        losses.append(F.mse_loss(own[valid].float(), taught[valid].float()))
    return torch.stack(losses).mean()


def find_blocks(model: nn.Module) -> list[nn.Module]:
    """The blocks of a model whose outputs can be compared.

    Arguments
    ---------
    model : nn.Module
        A Conformer, Branchformer or Transformer, or what contains one.

    Returns
    -------
    list of nn.Module
        In forward order; empty if there are none.

    Example
    -------
    >>> from speechbrain.lobes.models.transformer.Conformer import (
    ...     ConformerEncoder,
    ... )
    >>> len(find_blocks(ConformerEncoder(2, 16, 32, 2, kernel_size=3)))
    2
    """
    return [each for each in model.modules() if isinstance(each, BLOCKS)]


@contextmanager
def block_outputs(model: nn.Module) -> Iterator[list[Tensor]]:
    """Listen to the blocks of a model, for a while.

    Arguments
    ---------
    model : nn.Module
        As in ``find_blocks``.

    Yields
    ------
    list of torch.Tensor
        Grows by the output of every block that runs.

    Example
    -------
    >>> with block_outputs(nn.Linear(1, 1)) as outputs:
    ...     outputs
    []
    """
    outputs: list[Tensor] = []

    def listen(block: nn.Module, inputs: Any, output: Any) -> None:
        outputs.append(output[0] if isinstance(output, tuple) else output)

    handles = [
        block.register_forward_hook(listen) for block in find_blocks(model)
    ]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()
