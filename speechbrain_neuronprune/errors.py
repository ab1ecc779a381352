"""The errors a user can cause, each with one sentence that helps.

Every message names the thing, the value and the remedy. All of them derive
from ``NeuronPruneError`` so a command line can catch them in one place and
print the sentence instead of a traceback.

Authors
 * The speechbrain-neuronprune authors 2026
"""


class NeuronPruneError(Exception):
    """Base of every error that a user's input can cause."""


class DataError(NeuronPruneError):
    """Speech or transcripts are missing, unreadable or inconsistent."""


class UnitsError(NeuronPruneError):
    """A pattern matches no unit group, or a layer is not supported."""


class PlanError(NeuronPruneError):
    """A plan is damaged, does not fit the model, or is out of reach."""


class TrainingError(NeuronPruneError):
    """Training cannot go on (for instance the loss is not a number)."""


class ExperimentError(NeuronPruneError):
    """An experiment folder is incomplete, or another one cannot be written."""


class SaliencyError(NeuronPruneError):
    """Neurons cannot be ranked: no speech, or activations are not numbers."""


class SelectionError(NeuronPruneError):
    """A selection of neurons is empty, overlaps, or does not fit the model."""


class PatchError(NeuronPruneError):
    """A domain patch is damaged or belongs to another model."""


class ExportError(NeuronPruneError):
    """A model cannot be exported, or what came out computes otherwise."""


def in_short(error: Exception) -> str:
    """What another library's error says, for one sentence of ours.

    Arguments
    ---------
    error : Exception
        Any error.

    Returns
    -------
    str
        The first 200 characters, on one line.

    Example
    -------
    >>> in_short(ValueError("no such\\n    key"))
    'no such key'
    """
    return " ".join(str(error).split())[:200]
