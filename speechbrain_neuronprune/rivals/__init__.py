"""Other ways to prune, to compare with: nothing else needs them.

Authors
 * The speechbrain-neuronprune authors 2026
"""
