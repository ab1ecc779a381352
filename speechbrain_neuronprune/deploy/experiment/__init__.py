"""SpeechBrain experiment folders: open one, and write its compact successor::

    hyperparams.yaml  the recipe, with references resolved
    save/CKPT+...     checkpoints; beside them, tokenizers and the like
    *.csv, *.json     manifests

Any training script leaves such a folder, if it calls SpeechBrain's
``create_experiment_directory`` and has a ``Checkpointer``. The yaml of a
compact one calls ``narrow_by_plan`` by the name that it has here.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from speechbrain_neuronprune.deploy.experiment.compact import (
    narrow_by_plan,
    write_compact_experiment,
)
from speechbrain_neuronprune.deploy.experiment.opening import (
    Experiment,
    open_experiment,
)

__all__ = [
    "Experiment",
    "narrow_by_plan",
    "open_experiment",
    "write_compact_experiment",
]
