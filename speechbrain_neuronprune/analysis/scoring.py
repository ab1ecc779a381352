"""Word and character errors on a split, whatever has been removed.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from speechbrain.utils.metric_stats import ErrorRateStats
from torch import Tensor, nn

from speechbrain_neuronprune.analysis.network import (
    CutRecogniser,
    first_to_run,
    remembered,
    tail_of,
)
from speechbrain_neuronprune.analysis.removals import Removal
from speechbrain_neuronprune.corpus.speech import Speech, Utterance
from speechbrain_neuronprune.masking import masked, mean_ablated
from speechbrain_neuronprune.training.error_rates import ErrorRates

MEMORY = 2**31  # bytes of a layer's outputs that a split may keep


@dataclass(frozen=True)
class ErrorCounts:
    """Errors, utterance by utterance.

    Arguments
    ---------
    words : list of int
        Word errors of every utterance.
    characters : list of int
        Character errors of every utterance.
    """

    words: list[int]
    characters: list[int]


@dataclass(frozen=True)
class _Prepared:
    """A batch as the first chosen stage gets it."""

    utterances: tuple[Utterance, ...]
    x: Tensor
    lengths: Tensor
    outputs: list[Tensor] = field(default_factory=list)


def reference_lengths(speech: Speech) -> tuple[list[int], list[int]]:
    """The words and the characters of every utterance of a split.

    Arguments
    ---------
    speech : Speech
        The split.

    Returns
    -------
    tuple of list of int
        What word and character errors are relative to; blanks between words
        are characters.

    Example
    -------
    >>> from pathlib import Path
    >>> one = Utterance("a", Path("a.flac"), ("GO", "ON"), 1600, 16000)
    >>> reference_lengths(Speech("dev", (one,)))
    ([2], [5])
    """
    spoken = [one.words for one in speech.utterances]
    characters = [len(" ".join(words)) for words in spoken]
    return [len(words) for words in spoken], characters


def count_errors(
    utterances: Sequence[Utterance], hypotheses: Sequence[list[str]]
) -> ErrorCounts:
    """Count the errors of every utterance.

    Arguments
    ---------
    utterances : sequence of Utterance
        What was spoken.
    hypotheses : sequence of list of str
        The words recognised.

    Returns
    -------
    ErrorCounts
        In the order of the utterances.

    Example
    -------
    >>> from pathlib import Path
    >>> one = Utterance("a", Path("a.flac"), ("GO", "ON"), 1600, 16000)
    >>> count_errors([one], [["GO", "IN"]])
    ErrorCounts(words=[1], characters=[1])
    """
    rates = ErrorRates(ErrorRateStats(), ErrorRateStats(split_tokens=True))
    rates.append(
        # Names need not be distinct.
        [str(number) for number in range(len(utterances))],
        hypotheses,
        [list(one.words) for one in utterances],
    )
    return ErrorCounts(
        *(
            [score["num_edits"] for score in stats.scores]
            for stats in (rates.words, rates.characters)
        )
    )


class Scorer:
    """Recognises one split again and again.

    What comes before the cut is computed once. So is, as far as memory
    allows, the first layer behind it that has chosen units; and where nothing
    else needs it, what comes before that layer.

    Arguments
    ---------
    cut : CutRecogniser
        The recogniser.
    speech : Speech
        The split.
    producers : sequence of nn.Module
        The Linear layers whose outputs the chosen units are.
    means : mapping of str to torch.Tensor
        For every group its units' mean activations, for mean ablation.

    Raises
    ------
    DataError
        If speech cannot be read.
    """

    def __init__(
        self,
        cut: CutRecogniser,
        speech: Speech,
        producers: Sequence[nn.Module],
        means: Mapping[str, Tensor],
    ) -> None:
        self.cut = cut
        self.means = means
        normalize = cut.recogniser.audio_normalizer
        self.batches = [
            _Prepared(
                batch.utterances,
                cut.before(batch.wavs, batch.lengths),
                batch.lengths.to(cut.recogniser.device),
            )
            for batch in speech.batches(normalize)
        ]
        self.room = MEMORY
        self.first = first_to_run(producers, self._run_once)
        self.tail = tail_of(cut.first_stage, self.first, self._run_once)

    @torch.no_grad()
    def count(self, removal: Removal) -> ErrorCounts:
        """Count the errors that a removal leads to.

        Arguments
        ---------
        removal : Removal
            What is removed meanwhile.

        Returns
        -------
        ErrorCounts
            In the order of the split's utterances.
        """
        counts = ErrorCounts([], [])
        with self._without(removal):
            for batch in self.batches:
                hypotheses = self._transcribe(batch)
                errors = count_errors(batch.utterances, hypotheses)
                counts.words.extend(errors.words)
                counts.characters.extend(errors.characters)
        return counts

    def _run_once(self) -> None:
        self.cut.transcribe(self.batches[0].x, self.batches[0].lengths)

    def _transcribe(self, batch: _Prepared) -> list[list[str]]:
        known = bool(batch.outputs)
        tail = self.tail if known else None
        with remembered(self.first, batch.outputs):
            hypotheses = self.cut.transcribe(batch.x, batch.lengths, tail)
        if not known:
            self._keep_within_memory(batch.outputs)
        return hypotheses

    def _keep_within_memory(self, outputs: list[Tensor]) -> None:
        [output] = outputs
        if output.nbytes > self.room:
            outputs.clear()
        else:
            self.room -= output.nbytes

    @contextmanager
    def _without(self, removal: Removal) -> Iterator[None]:
        encoder = self.cut.encoder
        if removal.ablation == "mean":
            with mean_ablated(encoder, removal.plan, self.means):
                yield
        else:
            with masked(encoder, removal.plan):
                yield
