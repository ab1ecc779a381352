"""Unsupervised adaptation from beginning to end (Mitra and Franco, sec. 6).

``run`` puts it together: ``speech`` is what is read, ``checks`` what an
adaptation must fulfil, and ``request`` what it was asked for; ``model`` hears
and learns, ``lesson`` says what from, ``stage_training`` trains one stage,
``kept`` keeps what is finished, and ``results`` writes what comes of it.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from speechbrain_neuronprune.domain_adaptation.run import DomainAdaptation
from speechbrain_neuronprune.domain_adaptation.speech import DomainSpeech

__all__ = ["DomainAdaptation", "DomainSpeech"]
