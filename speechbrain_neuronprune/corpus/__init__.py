"""Speech in LibriSpeech's layout: read, written, made and altered.

- ``splits`` finds the utterances of a split, ``speech`` reads them in batches,
  ``layout`` writes them, and ``manifest`` keeps what a folder was made from;
  ``audio`` reads and writes single files.
- ``mini`` makes the embedded corpus of spoken commands: ``grammar`` says what
  is spoken, ``speakers`` by whom; ``synthesis`` speaks it, in a process of its
  own that runs ``espeak``.
- ``domains`` makes a new domain of any split: ``rooms``, ``noises`` and
  ``telephone`` are the conditions that it is heard in.

Authors
 * The speechbrain-neuronprune authors 2026
"""
