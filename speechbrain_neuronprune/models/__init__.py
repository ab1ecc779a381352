"""Acoustic models that SpeechBrain does not have.

Authors
 * The speechbrain-neuronprune authors 2026
"""
