"""Taylor: how much the loss would change without a unit, to first order.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from speechbrain_neuronprune.errors import SaliencyError
from speechbrain_neuronprune.padding import frames_of
from speechbrain_neuronprune.saliency.frames import Frames
from speechbrain_neuronprune.saliency.measure import Measure, Settings
from speechbrain_neuronprune.saliency.passage import Passage
from speechbrain_neuronprune.saliency.taps import Tap


class Taylor(Measure):
    """``S_n = (1/T) sum_t | x_n[t] dL/dx_n[t] |``.

    First-order Taylor expansion of the loss L around x_n[t] = 0 (Molchanov
    et al. 2017). Not in Mitra and Franco; a baseline that looks at the output.
    L is a sum over frames, by default ``decision_loss``.
    """

    needs_gradient = True

    def __init__(self, tap: Tap, settings: Settings) -> None:
        super().__init__(tap, settings, change=(tap.units,))

    def update(self, frames: Frames) -> None:
        """Add the changes of the loss over the frames."""
        change = (frames.units * frames.gradient).abs().sum(0)
        self.add(frames, change=change)

    def result(self) -> Tensor:
        """The saliencies, (units,)."""
        return self.mean("change")


def decision_loss(output: Any, x: Tensor, lengths: Tensor | None) -> Tensor:
    """Cross-entropy of a model's output with its own decisions.

    No labels are needed: the loss says how sure the model is of what it
    decides. Its choice is ours.

    Arguments
    ---------
    output : torch.Tensor or tuple
        Scores before or after a (log-)softmax, (batch, time, classes) or
        (batch, classes); of a tuple the first entry counts.
    x : torch.Tensor
        The model's input; not used.
    lengths : torch.Tensor or None
        Relative lengths, (batch,).

    Returns
    -------
    torch.Tensor
        The sum over all valid output frames.

    Raises
    ------
    SaliencyError
        If the output holds no scores per frame.

    Example
    -------
    >>> decision_loss(torch.zeros(3, 5, 2), None, None)  # 15 log 2
    tensor(10.3972)
    """
    scores = output[0] if isinstance(output, tuple | list) else output
    if not torch.is_tensor(scores) or scores.ndim not in (2, 3):
        raise SaliencyError(
            f"The model's output is a {type(scores).__name__} from which no "
            "decisions per frame can be read; give a forward= that returns "
            "scores (batch, time, classes), or a loss=."
        )
    if scores.ndim == 3:
        scores = scores[frames_of(scores, lengths)]
    return F.cross_entropy(scores, scores.argmax(-1), reduction="sum")


def differentiate(loss: Any, seen: list[Passage]) -> None:
    """Find the gradient of a loss at every tap that was passed.

    Only activations are differentiated by: no parameter gets a gradient.

    Arguments
    ---------
    loss : torch.Tensor
        A scalar.
    seen : list of Passage
        What passed; each gets its ``gradient``.

    Raises
    ------
    SaliencyError
        If the loss is no scalar, or was computed without the groups.

    Example
    -------
    >>> units = torch.ones(2, 3, requires_grad=True)
    >>> passage = Passage(None, None, inputs=units, units=units)
    >>> differentiate((units * units).sum(), [passage])
    >>> passage.gradient[0]
    tensor([2., 2., 2.])
    """
    if not torch.is_tensor(loss) or loss.numel() != 1:
        raise SaliencyError(
            f"The loss is {_describe(loss)}, not a scalar tensor; give a "
            "loss= that sums over utterances and frames."
        )
    if seen and not loss.requires_grad:
        raise _independent(seen[0])
    gradients = torch.autograd.grad(
        loss, [passage.units for passage in seen], allow_unused=True
    )
    for passage, gradient in zip(seen, gradients, strict=True):
        if gradient is None:
            raise _independent(passage)
        passage.gradient = gradient


def _independent(passage: Passage) -> SaliencyError:
    return SaliencyError(
        "The loss does not depend on the activations of group "
        f"{passage.tap.name}; give a forward= and a loss= that neither detach "
        "them nor switch gradients off (reentrant checkpointing does), or "
        "leave the group out with targets=."
    )


def _describe(loss: Any) -> str:
    if torch.is_tensor(loss):
        return f"a tensor of shape {tuple(loss.shape)}"
    return f"a {type(loss).__name__}"
