"""A small corpus of spoken commands, made on the spot with eSpeak NG.

Authors
 * The speechbrain-neuronprune authors 2026
"""
