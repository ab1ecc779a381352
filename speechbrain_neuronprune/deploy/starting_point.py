"""Beginning a training where another one has ended.

SpeechBrain's ``Pretrainer`` reads one file per module and passes over what does
not fit. Here the average of a run's last checkpoints may be meant, and weights
that do not fit are an error.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sentencepiece import SentencePieceProcessor
from speechbrain.lobes.models.transformer.TransformerASR import EncoderWrapper
from speechbrain.nnet.containers import LengthsCapableSequential
from speechbrain.processing.features import InputNormalization
from torch import Tensor, nn

from speechbrain_neuronprune.brains.recogniser import CTCRecogniser, as_stage
from speechbrain_neuronprune.compaction import remove_gates
from speechbrain_neuronprune.deploy.sources import (
    EXPERIMENT,
    MODEL,
    RUN,
    Source,
    open_source,
)
from speechbrain_neuronprune.errors import ExperimentError
from speechbrain_neuronprune.files import PathLike, atomic_path
from speechbrain_neuronprune.training.draws import draws_for
from speechbrain_neuronprune.training.tokens import load_tokenizer

NORMALIZER = "normalize"
SEED = "SB_GLOBAL_SEED"  # what SpeechBrain seeds data loaders by


@dataclass(frozen=True)
class StartingPoint:
    """A trained model, for others to begin with.

    Arguments
    ---------
    path : str
        Where it came from.
    modules : mapping of str to nn.Module
        By their names in a recipe, the features' normaliser included; without
        gates, all units open.
    tokenizer : SentencePieceProcessor
        Its tokens.
    """

    path: str
    modules: Mapping[str, nn.Module]
    tokenizer: SentencePieceProcessor

    def save_tokenizer(self, path: PathLike) -> None:
        """Write the tokens, unless they are there.

        Arguments
        ---------
        path : path-like
            The SentencePiece model.

        Raises
        ------
        ExperimentError
            If others are there.
        """
        path, content = Path(path), self.tokenizer.serialized_model_proto()
        if not path.exists():
            with atomic_path(path) as temporary:
                temporary.write_bytes(content)
        elif path.read_bytes() != content:
            raise ExperimentError(
                f"The tokens in {path} are not those of the starting point "
                f"{self.path}; choose another output_folder."
            )

    def begin(self, brain: CTCRecogniser) -> None:
        """Give a Brain weights, statistics of features, and itself as the
        teacher, if the Brain takes one.

        A run that is resumed then loads its own checkpoint over the weights.

        Arguments
        ---------
        brain : CTCRecogniser
            Before ``fit``.

        Raises
        ------
        ExperimentError
            If its architecture is another; the message names the first
            parameter that differs.
        """
        self._require((NORMALIZER, *brain.network))
        states = {
            name: self._state_for(name, brain.modules[name])
            for name in brain.network
        }
        self._give_statistics(brain)
        for name, state in states.items():
            brain.modules[name].load_state_dict(state)
        if hasattr(brain, "learn_from"):
            brain.learn_from(self._teacher(brain.network))

    def _require(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.modules:
                raise ExperimentError(
                    f"The starting point {self.path} has no module {name}, "
                    f"only {', '.join(self.modules)}; give a model that was "
                    "trained with such a recipe as this one."
                )

    def _state_for(self, name: str, module: nn.Module) -> dict[str, Tensor]:
        """What a module of the same architecture is to load."""
        given = self.modules[name].state_dict()
        wanted = remove_gates(copy.deepcopy(module)).state_dict()
        difference = first_difference(given, wanted)
        if difference is not None:
            parameter, there, here = difference
            raise ExperimentError(
                f"The starting point {self.path} has another architecture: "
                f"{name}.{parameter} is {there} there and {here} here; change "
                "the yaml, or give a model that is not pruned and fits it."
            )
        return given

    def _give_statistics(self, brain: CTCRecogniser) -> None:
        """Statistics of features, which then stay as they are: the weights
        were learned with them."""
        there, here = self.modules[NORMALIZER], brain.modules[NORMALIZER]
        types = [getattr(each, "norm_type", None) for each in (there, here)]
        if types[0] != types[1]:
            raise ExperimentError(
                f"The starting point {self.path} normalises features by "
                f"norm_type {types[0]}, this recipe by {types[1]}; change the "
                "yaml's normalize."
            )
        if isinstance(here, InputNormalization):
            here._load_statistics_dict(copy.deepcopy(there._statistics_dict()))
            here.to(brain.device)
            here.update_until_epoch = 0

    def _teacher(self, network: Iterable[str]) -> LengthsCapableSequential:
        """From normalised features to activations before the softmax."""
        stages = {name: as_stage(self.modules[name]) for name in network}
        return LengthsCapableSequential(**stages)


def first_difference(
    given: Mapping[str, Any], wanted: Mapping[str, Any]
) -> tuple[str, str, str] | None:
    """Where two state dicts stop to be of one architecture.

    Arguments
    ---------
    given : mapping of str to torch.Tensor
        A state dict.
    wanted : mapping of str to torch.Tensor
        Another one, in whose order they are compared.

    Returns
    -------
    tuple of str or None
        The name, and its shape in either; None if there is no difference.

    Example
    -------
    >>> one, two = nn.Linear(2, 3), nn.Linear(2, 4, bias=False)
    >>> first_difference(one.state_dict(), two.state_dict())
    ('weight', '(3, 2)', '(4, 2)')
    """
    for name in {**wanted, **given}:
        there, here = (_shape(state.get(name)) for state in (given, wanted))
        if there != here:
            return name, there, here
    return None


def _shape(value: Any) -> str:
    if value is None:
        return "missing"
    return str(tuple(value.shape)) if hasattr(value, "shape") else "no tensor"


# ------------------------------------------------------------------ opening


def open_starting_point(path: PathLike) -> StartingPoint:
    """Load a trained model.

    Arguments
    ---------
    path : path-like
        The output folder of a recipe, of which the last checkpoints are
        averaged; a model directory; or another experiment folder of
        SpeechBrain, of which the last checkpoint is taken.

    Returns
    -------
    StartingPoint
        The model. What it draws and seeds while it is built is undone.

    Raises
    ------
    NeuronPruneError
        If it is none of these, is damaged, or its tokens are not found.
    """
    with _undisturbed():
        source = open_source(str(path))
    if source.kind not in READERS:
        raise ExperimentError(
            f"The starting point {path} is no trained model; give the folder "
            "of one."
        )
    remove_gates(source.network)
    modules, tokenizer = READERS[source.kind](source)
    return StartingPoint(str(path), modules, tokenizer)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep the seed, which the yaml of a run sets."""
    seed = os.environ.get(SEED)
    try:
        with draws_for("starting point"):
            yield
    finally:
        os.environ.pop(SEED, None)
        if seed is not None:
            os.environ[SEED] = seed


Parts = tuple[Mapping[str, nn.Module], SentencePieceProcessor]


def _read_run(source: Source) -> Parts:
    brain = source.opened
    return dict(brain.modules.items()), brain.hparams.tokenizer


def _read_model(source: Source) -> Parts:
    stages = {} if source.chain is None else dict(source.chain.items())
    modules = {
        name: stage.transformer if isinstance(stage, EncoderWrapper) else stage
        for name, stage in stages.items()
    }
    return modules, source.opened.hparams.tokenizer


def _read_experiment(source: Source) -> Parts:
    experiment = source.opened
    save = experiment.checkpointer.checkpoints_dir
    found = sorted([*save.glob("*.model"), *save.glob("tokenizer.ckpt")])
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise ExperimentError(
            f"The tokens of the starting point {source.path} are not clear: "
            f"of SentencePiece models (*.model, tokenizer.ckpt), {save} has "
            f"{names}; leave the right one there, and no other."
        )
    modules = experiment.hparams.get("modules", {})
    return modules, load_tokenizer(found[0])


READERS: dict[str, Callable[[Source], Parts]] = {
    RUN: _read_run,
    MODEL: _read_model,
    EXPERIMENT: _read_experiment,
}
