"""What a run brought: cost measurements, figures, plots and the HTML page.

``cost`` measures one model (``memory`` its peak memory). ``figures`` gathers
what a run wrote, of an analysis and an adaptation with ``analysis_figures``
and ``adaptation_figures``; ``reading`` reads files. ``plots``,
``saliency_plots``, ``removal_plots`` and ``adaptation_plots`` draw on
``canvas``, and ``gallery`` knows all of them. ``tables`` and
``analysis_tables`` are made of ``cells``. ``page`` puts everything into one
file, whose frame is ``template``.

Authors
 * The speechbrain-neuronprune authors 2026
"""
