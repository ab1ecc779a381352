"""From a trained run to a model directory that SpeechBrain loads.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from speechbrain_neuronprune.deploy.architecture import narrow
from speechbrain_neuronprune.deploy.directory import write_model_directory

__all__ = ["narrow", "write_model_directory"]
