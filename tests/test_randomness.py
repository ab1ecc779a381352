"""Random numbers for a purpose.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import subprocess
import sys

import numpy as np

from speechbrain_neuronprune import randomness
from speechbrain_neuronprune.randomness import random_for, seeded_generator


def test_every_process_draws_the_same():
    # Without the package, which takes seconds to import.
    code = (
        "import runpy, sys; module = runpy.run_path(sys.argv[1]); "
        "print(module['random_for'](7, 'noise', 'a').random_sample(3).tolist())"
    )
    command = [sys.executable, "-c", code, randomness.__file__]
    printed = subprocess.run(command, capture_output=True, text=True).stdout
    assert printed.strip() == str(
        random_for(7, "noise", "a").random_sample(3).tolist()
    )


def test_the_kind_of_number_makes_no_difference():
    one, two = random_for(7, "a"), random_for(np.int64(7), "a")
    assert one.random_sample() == two.random_sample()


def test_every_purpose_draws_its_own():
    keys = [(0, "a"), (1, "a"), (0, "b"), (0, "a", ""), ("0a",)]
    draws = {random_for(*key).random_sample() for key in keys}
    assert len(draws) == len(keys)


def test_every_process_has_the_same_generator_for_a_group():
    """Python's own hash of a string differs between processes."""
    generator = seeded_generator(3, "layers.0")
    assert generator.initial_seed() == 25456675778111863
