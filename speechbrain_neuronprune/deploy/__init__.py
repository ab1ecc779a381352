"""From a trained run to a model that is in use.

A directory that SpeechBrain loads, in float or int8; what leaves Python: ONNX
and ``torch.export``; and another training, which begins with the model.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from speechbrain_neuronprune.deploy.architecture import (
    narrow,
    narrow_in_place,
)
from speechbrain_neuronprune.deploy.directory import write_model_directory
from speechbrain_neuronprune.deploy.exported import export_program
from speechbrain_neuronprune.deploy.narrowed_directory import (
    write_narrowed_directory,
)
from speechbrain_neuronprune.deploy.onnx_export import export_onnx
from speechbrain_neuronprune.deploy.quantisation import (
    int8_model,
    quantise_directory,
)
from speechbrain_neuronprune.deploy.streaming_directory import (
    streaming_directory,
)

__all__ = [
    "export_onnx",
    "export_program",
    "int8_model",
    "narrow",
    "narrow_in_place",
    "quantise_directory",
    "streaming_directory",
    "write_model_directory",
    "write_narrowed_directory",
]
