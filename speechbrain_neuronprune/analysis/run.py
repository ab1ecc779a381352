"""The analysis: rank neurons, remove them, and count what goes wrong.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import torch
from speechbrain.inference import EncoderASR
from torch import Tensor
from tqdm import tqdm

from speechbrain_neuronprune.analysis.description import (
    describe_groups,
    describe_settings,
    describe_speech,
    describe_splits,
    pool,
)
from speechbrain_neuronprune.analysis.layers import (
    choose_layers,
    layer_sets,
)
from speechbrain_neuronprune.analysis.log import MeasurementLog
from speechbrain_neuronprune.analysis.network import CutRecogniser
from speechbrain_neuronprune.analysis.ranking import Ranking, rank
from speechbrain_neuronprune.analysis.removals import (
    Removal,
    make_removals,
)
from speechbrain_neuronprune.analysis.scoring import (
    Scorer,
    reference_lengths,
)
from speechbrain_neuronprune.analysis.settings import AnalysisSettings
from speechbrain_neuronprune.corpus.speech import Speech
from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.files import (
    PathLike,
    cannot_write,
    write_json,
    writing,
)
from speechbrain_neuronprune.fingerprint import fingerprint
from speechbrain_neuronprune.units import count_parameters, find_units

FORMAT = "speechbrain-neuronprune analysis"
VERSION = 1

ANALYSIS = "analysis.json"
RANKING = "ranking.json"
MEASUREMENTS = "measurements"  # a folder, one log per split


def analyse(
    recogniser: EncoderASR,
    rank_speech: Speech,
    splits: Sequence[Speech],
    output: PathLike,
    settings: AnalysisSettings | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Find out which neurons are hyper- and hypo-active, and what removing
    them does at home and in new domains (Mitra and Franco, sec. 4 and 5).

    What has been measured is kept, so that a run which was interrupted goes
    on where it was.

    Arguments
    ---------
    recogniser : EncoderASR
        As ``load_model`` loads it from a model directory; it is left as it
        was found.
    rank_speech : Speech
        What the neurons are ranked on: a part of the training speech.
    splits : sequence of Speech
        What error rates are measured on: the home domain, then any number of
        new domains.
    output : path-like
        The folder for ``analysis.json``, ``ranking.json`` and the
        measurements, a log per split.
    settings : AnalysisSettings, optional
        What is tried.
    progress : bool
        Show progress bars.

    Returns
    -------
    dict
        What ``analysis.json`` holds: ``settings``; ``groups``, see
        ``describe_groups``; ``splits``, their sizes and roles; and
        ``measurements``, one per split and removal, with errors and words in
        total. The errors of every utterance are in the logs.

    Raises
    ------
    NeuronPruneError
        If there is no speech, the layers have no removable neurons, shares
        do not fit, or the folder is about another model or other speech.
        Nothing is written then.
    """
    _check_splits([one.name for one in splits])
    _check_output(Path(output))
    settings = settings or AnalysisSettings()
    analysis = _Analysis(recogniser, rank_speech, splits, output, settings)
    with writing("The analysis", output):
        return analysis.run(progress)


class _Analysis:
    """The steps of ``analyse``, and what all of them see."""

    def __init__(
        self,
        recogniser: EncoderASR,
        rank_speech: Speech,
        splits: Sequence[Speech],
        output: PathLike,
        settings: AnalysisSettings,
    ) -> None:
        self.rank_speech, self.splits = rank_speech, list(splits)
        self.output, self.settings = Path(output), settings
        self.encoder = recogniser.mods.encoder
        taps = choose_layers(self.encoder, settings.layers)
        together = choose_layers(self.encoder, settings.together or list(taps))
        self.sets = layer_sets(taps, together)
        self.groups = find_units(self.encoder, list(taps))
        self.producers = [tap.producer for tap in taps.values()]
        self.cut = CutRecogniser(recogniser, taps)
        self.about = {
            "model": fingerprint(self.encoder),
            "ranking_speech": rank_speech.digest(),
            "window": settings.window,
            "frame_stride": settings.frame_stride,
            "seed": settings.seed,
        }

    def run(self, progress: bool) -> dict[str, Any]:
        """Rank, remove, score what is missing; return all figures."""
        logs = [self._log(one) for one in self.splits]
        known = Ranking.load(self.output / RANKING, self._context())
        self._check_shares()
        ranking = known or self._rank(progress)
        groups = describe_groups(self.groups, ranking, self.settings)
        removals = make_removals(ranking.scores, self.sets, self.settings)
        if not known:
            ranking.save(self.output / RANKING, self._context())
        self._measure(logs, removals, ranking.means, progress)
        content = {
            "format": FORMAT,
            "version": VERSION,
            **self.about,
            "parameters": count_parameters(self.encoder),
            "settings": describe_settings(self.settings, self.sets),
            "groups": groups,
            "ranked_on": describe_speech(self.rank_speech),
            "splits": describe_splits(self.splits),
            "measurements": pool(logs, removals),
        }
        write_json(self.output / ANALYSIS, content)
        return content

    def _check_shares(self) -> None:
        """Whether shares fit depends on the layers' sizes only, so any
        ranking tells; a real one takes long."""
        ranks = {
            name: torch.arange(float(group.size))
            for name, group in self.groups.items()
        }
        make_removals({"any": ranks}, self.sets, self.settings)

    def _rank(self, progress: bool) -> Ranking:
        speech = (self.rank_speech, self.splits)
        return rank(
            self.cut, list(self.groups), *speech, self.settings, progress
        )

    def _context(self) -> dict[str, Any]:
        """What the ranking is about."""
        return {
            **self.about,
            "criteria": list(self.settings.criteria),
            "groups": list(self.groups),
            "splits": {one.name: one.digest() for one in self.splits},
        }

    # ----------------------------------------------------------- measuring

    def _log(self, speech: Speech) -> MeasurementLog:
        words, characters = reference_lengths(speech)
        header = {
            **self.about,
            "split": speech.name,
            "speech": speech.digest(),
            "utterances": [one.name for one in speech.utterances],
            "words": words,
            "characters": characters,
        }
        name = f"{quote(speech.name, safe='')}.jsonl"
        return MeasurementLog(self.output / MEASUREMENTS / name, header)

    def _measure(
        self,
        logs: Sequence[MeasurementLog],
        removals: Sequence[Removal],
        means: Mapping[str, Tensor],
        progress: bool,
    ) -> None:
        missing = [
            [one for one in removals if log.find(one.facts()) is None]
            for log in logs
        ]
        with tqdm(
            total=sum(map(len, missing)),
            unit="removal",
            dynamic_ncols=True,
            disable=not progress,
        ) as bar:
            for speech, log, rest in zip(
                self.splits, logs, missing, strict=True
            ):
                bar.set_description(speech.name)
                if rest:
                    self._measure_split(speech, log, rest, means, bar)

    def _measure_split(
        self,
        speech: Speech,
        log: MeasurementLog,
        removals: Sequence[Removal],
        means: Mapping[str, Tensor],
        bar: tqdm,
    ) -> None:
        scorer = Scorer(self.cut, speech, self.producers, means)
        for removal in removals:
            counts = scorer.count(removal)
            errors = {
                "word_errors": counts.words,
                "character_errors": counts.characters,
            }
            log.append(removal.facts(), errors)
            bar.update()


def _check_splits(names: Sequence[str]) -> None:
    if not names:
        raise DataError(
            "There is no split to measure error rates on; give at least one "
            "of the home domain."
        )
    for name in names:
        if names.count(name) > 1:
            raise DataError(
                f"The split {name} is given more than once; give each split of "
                "the home domain and of new domains once."
            )


def _check_output(folder: Path) -> None:
    """Ranking takes long; what cannot be written is better known before."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise cannot_write("The analysis", folder, f"{there} is a file")
    if not os.access(there, os.W_OK):
        raise cannot_write("The analysis", folder, "Permission denied")
