"""Acoustic models that SpeechBrain does not have.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from speechbrain_neuronprune.models.time_frequency_cnn import TimeFrequencyCNN

__all__ = ["TimeFrequencyCNN"]
