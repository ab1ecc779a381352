"""What the analysis tests share: a recogniser and speech to analyse it on.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import logging

import pytest

from speechbrain_neuronprune.analysis import read_speech
from speechbrain_neuronprune.deploy.transcribe import load_model
from tests.tiny_recogniser import write_corpus, write_recogniser


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """A corpus folder with the splits train, dev and reverb."""
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def recogniser(tmp_path_factory):
    """An ``EncoderASR``; tests leave it as they found it."""
    logging.getLogger("speechbrain").setLevel(logging.WARNING)
    folder = tmp_path_factory.mktemp("recogniser") / "run"
    return load_model(str(write_recogniser(folder)))


@pytest.fixture
def speech(corpus):
    """A function from a split's name to its speech."""
    return lambda split: read_speech(corpus, split)
