"""A trained model, wherever it came from; what commands take as SOURCE.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speechbrain.dataio.preprocess import AudioNormalizer
from speechbrain.inference.interfaces import Pretrained
from speechbrain.nnet.containers import LengthsCapableSequential
from torch import nn

from speechbrain_neuronprune.corpus.speech import Normalizer
from speechbrain_neuronprune.deploy.experiment import open_experiment
from speechbrain_neuronprune.deploy.int8 import require_float
from speechbrain_neuronprune.deploy.loading import load_model
from speechbrain_neuronprune.deploy.recipe_network import network_of_yaml
from speechbrain_neuronprune.deploy.run import RUN_KEYS, open_run, read_keys
from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.file_names import RECIPE
from speechbrain_neuronprune.units import count_parameters, supported_units

MODEL = "model directory"
RUN = "run"
EXPERIMENT = "experiment folder"
YAML = "yaml"

# Compiled modules hold their layers under other names.
AS_WRITTEN = {"compile": False, "jit": False}
AS_WRITTEN |= {"compile_module_keys": None, "jit_module_keys": None}


@dataclass
class Source:
    """A model, and how to go on from it.

    Arguments
    ---------
    kind : str
        One of the constants above.
    path : str
        Where it came from.
    network : nn.Module
        What holds the units; plans have its groups.
    parameters : int
        Of the whole model, which the network is a part of.
    opened : Any
        A ``Pretrained``, a ``CTCRecogniser``, an ``Experiment``, or None.
    chain : LengthsCapableSequential, optional
        From waveforms to log-posteriors, through the network, where known.
    normalize : callable, optional
        Brings audio to the model's rate, where known.
    """

    kind: str
    path: str
    network: nn.Module
    parameters: int
    opened: Any = None
    chain: LengthsCapableSequential | None = None
    normalize: Normalizer | None = None

    @property
    def other_parameters(self) -> int:
        """Parameters outside of the network."""
        return self.parameters - count_parameters(self.network)


def open_source(path: str, device: str = "cpu", average: int = 1) -> Source:
    """Open whatever is at a path.

    Arguments
    ---------
    path : str
        A model directory, the output folder of a recipe, another experiment
        folder of SpeechBrain, or a yaml file.
    device : str
        Where to compute.
    average : int
        Of an experiment folder, how many of the last checkpoints to average;
        a recipe's run says so itself.

    Returns
    -------
    Source
        The model.

    Raises
    ------
    NeuronPruneError
        If it is none of these, or is damaged.
    """
    if Path(path).is_file():
        return from_yaml(path)
    keys = read_keys(path)
    if not keys:
        what = f"has no {RECIPE}" if Path(path).is_dir() else "is no folder"
        raise DataError(
            f"There is no model in {path} (it {what}); give a model "
            "directory, an experiment folder of SpeechBrain, or a yaml file."
        )
    if "pretrainer" in keys and "checkpointer" not in keys:
        return _from_model(path, device)
    if RUN_KEYS <= keys:
        return _from_run(path, device)
    return _from_experiment(path, device, average)


def _from_model(path: str, device: str) -> Source:
    # The yaml may name classes of a file beside it, as for foreign_class.
    if path not in sys.path:
        sys.path.append(path)
    recogniser = load_model(path, device, Pretrained, AS_WRITTEN)
    network = getattr(recogniser.mods, "encoder", recogniser.mods)
    if not supported_units(network):
        network = recogniser.mods
    require_float(network, path)
    whole = _whole(recogniser, network)
    source = Source(MODEL, path, network, count_parameters(whole), recogniser)
    if isinstance(network, LengthsCapableSequential):
        source.chain, source.normalize = network, recogniser.audio_normalizer
    return source


def _whole(recogniser: Pretrained, network: nn.Module) -> nn.Module:
    """The whole model: what the yaml calls so, if the network is in it."""
    model = getattr(recogniser.hparams, "model", None)
    if isinstance(model, nn.Module):
        if {*network.parameters()} <= {*model.parameters()}:
            return model
    return recogniser.mods


def _from_run(path: str, device: str) -> Source:
    brain = open_run(path, device)
    return Source(
        RUN,
        path,
        brain.pruned,
        count_parameters(brain.modules),
        brain,
        brain.chain(brain.pruned).to(device),
        AudioNormalizer(brain.hparams.sample_rate),
    )


def _from_experiment(path: str, device: str, average: int) -> Source:
    experiment = open_experiment(path, device, average)
    # What was trained: other modules may be language models, for instance.
    trained = nn.ModuleList(
        thing
        for thing in experiment.checkpointer.recoverables.values()
        if isinstance(thing, nn.Module)
    )
    return Source(
        EXPERIMENT,
        path,
        experiment.network,
        count_parameters(trained),
        experiment,
    )


def from_yaml(path: str, module: str | None = None) -> Source:
    """Open the untrained network of a recipe's yaml.

    Arguments
    ---------
    path : str
        The file.
    module : str, optional
        Its entry with the network; may be left out if that is clear.

    Returns
    -------
    Source
        The network.
    """
    network, modules = network_of_yaml(path, module)
    return Source(YAML, path, network, count_parameters(modules))
