"""Which neurons of a recogniser are hyper- and hypo-active, and what removing
them does at home and in new domains (Mitra and Franco, sec. 4 and 5).

``run`` puts it together: ``network`` cuts the recogniser where neurons begin,
``ranking`` ranks them, ``removals`` lists what is removed, ``scoring`` counts
the errors and ``log`` keeps them, utterance by utterance; ``intervals`` says
how sure differences are, ``settings`` what is tried and ``description`` what a
ranking looks like in JSON. The speech is that of ``corpus.speech``.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from speechbrain_neuronprune.analysis.run import analyse
from speechbrain_neuronprune.analysis.settings import AnalysisSettings

# What ``analyse`` is given; documented examples import it from here.
from speechbrain_neuronprune.corpus.speech import Speech, read_speech

__all__ = ["AnalysisSettings", "Speech", "analyse", "read_speech"]
