"""What every training is made of, whatever it trains.

Data (``dataio``, ``tokens``, ``batching``), what a run begins with
(``experiment``) and what a resumed one needs to go on as if it had never
stopped (``checkpoints``, ``draws``, ``epoch_log``); ``error_rates`` is what
counts.

Authors
 * The speechbrain-neuronprune authors 2026
"""
