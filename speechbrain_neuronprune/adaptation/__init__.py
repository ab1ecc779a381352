"""Adaptation: few parameters learn, all others stay bitwise what they were.

Authors
 * The speechbrain-neuronprune authors 2026
"""
