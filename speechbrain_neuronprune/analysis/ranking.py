"""Ranking a recogniser's neurons, and keeping the ranking.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from speechbrain_neuronprune.analysis.network import CutRecogniser
from speechbrain_neuronprune.analysis.settings import AnalysisSettings
from speechbrain_neuronprune.corpus.speech import Speech
from speechbrain_neuronprune.files import PathLike, write_json
from speechbrain_neuronprune.saliency import (
    ActivationStatistics,
    measure_activations,
    measure_saliency,
)

Activations = dict[str, ActivationStatistics]


@dataclass(frozen=True, eq=False)
class Ranking:
    """What speech says about the neurons of some layers.

    Arguments
    ---------
    scores : dict of str to dict
        For every criterion, the saliencies of every group, (units,).
    activations : dict of str to ActivationStatistics
        What the units of every group do on the ranking speech.
    splits : dict of str to dict
        The same for every split.
    """

    scores: dict[str, dict[str, Tensor]]
    activations: Activations
    splits: dict[str, Activations]

    @property
    def means(self) -> dict[str, Tensor]:
        """The units' mean activations on the ranking speech."""
        return {name: one.mean for name, one in self.activations.items()}

    def save(self, path: PathLike, context: Mapping[str, Any]) -> None:
        """Write the ranking, atomically.

        Arguments
        ---------
        path : path-like
            The file.
        context : mapping
            What the ranking is about, for JSON.
        """
        content = {"context": context, "scores": _plain(self.scores)}
        content["activations"] = _plain(self.activations)
        content["splits"] = _plain(self.splits)
        write_json(path, content)

    @classmethod
    def load(
        cls, path: PathLike, context: Mapping[str, Any]
    ) -> "Ranking | None":
        """Read what ``save`` has written.

        Arguments
        ---------
        path : path-like
            The file.
        context : mapping
            What the ranking has to be about.

        Returns
        -------
        Ranking or None
            None if there is none, or it is about something else.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            if content["context"] != context:
                return None
            scores = content["scores"]
            return cls(
                {name: _tensors(by_group) for name, by_group in scores.items()},
                _statistics(content["activations"]),
                {name: _statistics(s) for name, s in content["splits"].items()},
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None


def rank(
    cut: CutRecogniser,
    groups: Sequence[str],
    rank_speech: Speech,
    splits: Iterable[Speech],
    settings: AnalysisSettings,
    progress: bool = False,
) -> Ranking:
    """Rank the neurons of a recogniser.

    Arguments
    ---------
    cut : CutRecogniser
        The recogniser.
    groups : sequence of str
        Names of the groups.
    rank_speech : Speech
        What saliencies are measured on.
    splits : iterable of Speech
        More speech to measure activations on.
    settings : AnalysisSettings
        Criteria, window, stride and seed.
    progress : bool
        Show progress bars.

    Returns
    -------
    Ranking
        Saliencies and activations.

    Raises
    ------
    NeuronPruneError
        If speech cannot be read, or activations are not numbers.
    """
    options = {"targets": list(groups), "progress": progress}
    options["forward"] = lambda model, x, lengths: cut.after(x, lengths)
    scores = measure_saliency(
        cut.encoder,
        _inputs(cut, rank_speech),
        settings.criteria,
        window=settings.window,
        frame_stride=settings.frame_stride,
        seed=settings.seed,
        **options,
    )
    return Ranking(
        scores,
        measure_activations(cut.encoder, _inputs(cut, rank_speech), **options),
        {
            one.name: measure_activations(
                cut.encoder, _inputs(cut, one), **options
            )
            for one in splits
        },
    )


def _inputs(
    cut: CutRecogniser, speech: Speech
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches as the first chosen stage gets them."""
    for batch in speech.batches(cut.recogniser.audio_normalizer):
        yield cut.before(batch.wavs, batch.lengths), batch.lengths


# ------------------------------------------------------------------- files


def decimals(values: Tensor) -> list[float]:
    """The shortest decimals that stand for the same float32.

    Arguments
    ---------
    values : torch.Tensor
        (units,).

    Returns
    -------
    list of float
        For JSON.

    Example
    -------
    >>> decimals(torch.tensor([0.1, 2.0]))
    [0.1, 2.0]
    """
    return [float(str(value)) for value in values.to(torch.float32).numpy()]


def _plain(value: Any) -> Any:
    """Tensors as lists, at any depth."""
    if isinstance(value, ActivationStatistics):
        value = asdict(value)
    if torch.is_tensor(value):
        return decimals(value)
    if isinstance(value, dict):
        return {name: _plain(inside) for name, inside in value.items()}
    return value


def _tensors(lists: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: torch.tensor(value) if isinstance(value, list) else value
        for name, value in lists.items()
    }


def _statistics(content: Mapping[str, Any]) -> Activations:
    return {
        name: ActivationStatistics(**_tensors(fields))
        for name, fields in content.items()
    }
