r"""Losses without labels, for adapting to the very speech that is decoded.

In the manner of SUTA: G.-T. Lin, S.-W. Li, H. Lee, "Listen, Adapt, Better
WER: Source-free Single-utterance Test-time Adaptation for Automatic Speech
Recognition", Interspeech 2022, arXiv 2203.14222. It makes the posteriors of
single frames certain, and the classes distinct from each other over the frames
of an utterance. Both look at posteriors softened by a temperature.

SUTA has one utterance at a time; the frames of a batch are pooled here.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import torch
from torch import Tensor

from speechbrain_neuronprune.adaptation.frames import spoken_frames
from speechbrain_neuronprune.padding import frames_of

TEMPERATURE = 2.5  # SUTA's


def _soften(log_probs: Tensor, temperature: float) -> Tensor:
    return torch.log_softmax(log_probs.float() / temperature, dim=-1)


def entropy_loss(
    log_probs: Tensor,
    lengths: Tensor,
    blank_index: int,
    temperature: float = TEMPERATURE,
) -> Tensor:
    """Mean entropy of the frames in which the blank is not the likeliest.

    Most frames of a CTC model are blanks of which it is certain already; with
    them the mean would hardly see the others (Lin et al. 2022).

    Arguments
    ---------
    log_probs : torch.Tensor
        Log-posteriors (or logits), (batch, time, classes).
    lengths : torch.Tensor
        Relative lengths, (batch,); padding does not count.
    blank_index : int
        The class of the CTC blank.
    temperature : float
        Posteriors are softened to softmax(log_probs / temperature).

    Returns
    -------
    torch.Tensor
        A scalar, in nats, float32; 0 if all frames are blanks.

    Example
    -------
    >>> log_probs = torch.tensor([[[0.2, 0.4, 0.4], [0.9, 0.1, 0.0]]]).log()
    >>> entropy_loss(log_probs, torch.ones(1), 0, temperature=1.0)
    tensor(1.0549)
    """
    spoken = spoken_frames(log_probs, lengths, blank_index)
    soft = _soften(log_probs[spoken], temperature)
    # A class of probability 0 adds nothing: 0 * log 0 = 0.
    finite = soft.clamp(min=torch.finfo(soft.dtype).min)
    return -(soft.exp() * finite).sum() / max(len(soft), 1)


def class_confusion_loss(
    log_probs: Tensor,
    lengths: Tensor,
    temperature: float = TEMPERATURE,
) -> Tensor:
    r"""How often classes share a frame: minimum class confusion.

    With the posteriors :math:`p_{tj}` of all valid frames, the correlation
    :math:`C_{jk} = \sum_t p_{tj} p_{tk}` is normalised to rows of sum one,
    and the loss is the mean over the classes of what lies off the diagonal
    (Y. Jin et al., "Minimum Class Confusion for Versatile Domain Adaptation",
    ECCV 2020, without its weights per frame; Lin et al. 2022 take it over).
    Because posteriors sum to one, so does each :math:`\sum_k C_{jk} = \sum_t
    p_{tj}`, and the matrix need not be made:

    .. math::
        L = \frac{1}{J} \sum_j \Bigl(
            1 - \frac{\sum_t p_{tj}^2}{\sum_t p_{tj}} \Bigr).

    Arguments
    ---------
    log_probs : torch.Tensor
        Log-posteriors (or logits), (batch, time, classes).
    lengths : torch.Tensor
        Relative lengths, (batch,); padding does not count.
    temperature : float
        Posteriors are softened to softmax(log_probs / temperature).

    Returns
    -------
    torch.Tensor
        A scalar from 0 to 1, float32.

    Example
    -------
    >>> class_confusion_loss(torch.zeros(1, 5, 4), torch.ones(1))
    tensor(0.7500)
    """
    valid = frames_of(log_probs, lengths)
    probs = _soften(log_probs[valid], temperature).exp()
    totals = probs.sum(dim=0).clamp(min=torch.finfo(probs.dtype).tiny)
    return (1.0 - probs.square().sum(dim=0) / totals).mean()


def suta_loss(
    log_probs: Tensor,
    lengths: Tensor,
    blank_index: int,
    temperature: float = TEMPERATURE,
    weight: float = 0.3,
) -> Tensor:
    """weight * entropy + (1 - weight) * class confusion (Lin et al. 2022).

    Arguments
    ---------
    log_probs : torch.Tensor
        Log-posteriors (or logits), (batch, time, classes).
    lengths : torch.Tensor
        Relative lengths, (batch,); padding does not count.
    blank_index : int
        The class of the CTC blank.
    temperature : float
        Posteriors are softened to softmax(log_probs / temperature).
    weight : float
        Share of the entropy, from 0 to 1.

    Returns
    -------
    torch.Tensor
        A scalar, float32.

    Example
    -------
    >>> log_probs = torch.randn(2, 7, 5, requires_grad=True).log_softmax(-1)
    >>> suta_loss(log_probs, torch.tensor([0.6, 1.0]), blank_index=0).backward()
    """
    entropy = entropy_loss(log_probs, lengths, blank_index, temperature)
    confusion = class_confusion_loss(log_probs, lengths, temperature)
    return weight * entropy + (1.0 - weight) * confusion
