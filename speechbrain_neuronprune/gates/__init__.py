"""Gates: what multiplies the units.

Authors
 * The speechbrain-neuronprune authors 2026
"""
