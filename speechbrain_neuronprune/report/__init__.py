"""What pruning gained: cost measurements, figures, plots and the HTML page.

``cost`` measures one model, ``figures`` gathers what a run wrote, ``plots``
draws it and ``page`` puts everything into one file.

Authors
 * The speechbrain-neuronprune authors 2026
"""
