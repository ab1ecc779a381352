"""Word and character errors of one model on one split.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Sequence
from typing import Any

from speechbrain.utils.metric_stats import ErrorRateStats


class ErrorRates:
    """Counts words and characters in one go.

    On a small corpus most words hold an error long after most characters are
    right; there the character error rate is the figure to watch.

    Arguments
    ---------
    words : ErrorRateStats
        The recipe's ``error_rate_computer()``.
    characters : ErrorRateStats
        The recipe's ``cer_computer()``, which splits words into characters.

    Example
    -------
    >>> rates = ErrorRates(ErrorRateStats(), ErrorRateStats(split_tokens=True))
    >>> rates.append(["one"], [["a", "bag"]], [["a", "bat"]])
    >>> rates.wer, rates.cer
    (50.0, 20.0)
    """

    def __init__(
        self, words: ErrorRateStats, characters: ErrorRateStats
    ) -> None:
        self.words = words
        self.characters = characters

    def append(
        self,
        ids: Sequence[str],
        hypotheses: Sequence[list[str]],
        references: Sequence[list[str]],
    ) -> None:
        """Count the errors of a batch.

        Arguments
        ---------
        ids : sequence of str
            Names of the utterances.
        hypotheses : sequence of list of str
            The words recognised.
        references : sequence of list of str
            The words spoken.
        """
        for stats in (self.words, self.characters):
            stats.append(ids, hypotheses, references)

    @property
    def wer(self) -> float:
        """Word error rate, in per cent."""
        return self.words.summarize("error_rate")

    @property
    def cer(self) -> float:
        """Character error rate, in per cent, blanks between words counted."""
        return self.characters.summarize("error_rate")

    def as_dict(self) -> dict[str, Any]:
        """Both rates and the counts of every utterance, for JSON.

        By the counts, differences between models can be tested pair by pair.

        Returns
        -------
        dict of str to Any
            ``wer`` and ``cer`` in per cent; ``utterances``, with ``[errors,
            words]`` of each, and ``characters``, with ``[errors,
            characters]``.
        """
        return {
            "wer": self.wer,
            "cer": self.cer,
            "utterances": _by_utterance(self.words),
            "characters": _by_utterance(self.characters),
        }


def _by_utterance(stats: ErrorRateStats) -> dict[str, list[int]]:
    """Of every utterance its errors and how many units it has."""
    return {
        score["key"]: [score["num_edits"], score["num_ref_tokens"]]
        for score in stats.scores
    }
