"""An adaptation of the tiny recogniser, with any settings.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest

from tests.tiny_adaptation import make_adaptation
from tests.tiny_recogniser import write_recogniser


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return write_recogniser(tmp_path_factory.mktemp("recogniser") / "run")


@pytest.fixture
def adaptation(model, tmp_path):
    """Make an adaptation of the tiny recogniser, in a folder."""

    def make(folder="run", **changes):
        return make_adaptation(model, tmp_path / folder, **changes)

    return make
