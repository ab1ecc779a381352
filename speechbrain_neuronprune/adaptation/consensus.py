"""Pseudo-labels on which several views of an utterance agree.

A model that is unsure decodes an utterance differently when it is played a
little faster, or when a few bands are missing. Where all views give the same
words, these are far more often right than where one view has clear posteriors.
Ours; the paper knows the margin of ``confidence`` only.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Sequence

from torchaudio.functional import edit_distance

from speechbrain_neuronprune.adaptation.pseudo_labels import PseudoLabel


def consensus(views: Sequence[Sequence[int]]) -> PseudoLabel:
    """The view that is nearest to all others, and how near it is.

    Arguments
    ---------
    views : sequence of sequence of int
        What was decoded from every view of one utterance; of views that are
        equally near, the first one counts.

    Returns
    -------
    PseudoLabel
        The tokens of that view, and as confidence the negative mean number of
        errors per token that the other views make against it: 0 if all
        agree, minus infinity if it has no tokens.

    Example
    -------
    >>> consensus([[1, 2], [1, 2, 3], [1, 2]])
    PseudoLabel(tokens=[1, 2], confidence=-0.25)
    """
    distances = [sum(edit_distance(a, b) for b in views) for a in views]
    least = min(distances)
    tokens = list(views[distances.index(least)])
    if not tokens:
        return PseudoLabel([], -float("inf"))
    others = max(len(views) - 1, 1)
    return PseudoLabel(tokens, -least / (others * len(tokens)))
