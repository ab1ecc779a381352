"""Labelled speech that sounds like an unlabelled domain.

What a domain does to speech is estimated from its unlabelled recordings: the
noise in their pauses, their reverberation and their long-term spectrum. The
same is then done to labelled speech from home.

Authors
 * The speechbrain-neuronprune authors 2026
"""
