"""``python -m speechbrain_neuronprune`` is ``neuronprune``.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from speechbrain_neuronprune.cli import main

if __name__ == "__main__":
    main(prog_name="neuronprune")
