"""A corpus that a tiny model can learn: words that are tones.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import numpy as np
import pytest
import soundfile

TONES = {"LOW": 300.0, "HIGH": 2500.0}


def write_corpus(folder):
    """Speakers who say LOW and HIGH in some order."""
    generator = np.random.default_rng(0)
    for number, split in enumerate(["train-clean", "dev-clean", "test-clean"]):
        chapter = folder / split / str(number) / "1"
        chapter.mkdir(parents=True)
        lines = []
        for utterance in range(8 if split == "train-clean" else 3):
            words = generator.choice(list(TONES), size=1 + utterance % 3)
            time_axis = np.arange(6400) / 16000
            wave = np.concatenate(
                [np.sin(2 * np.pi * TONES[w] * time_axis) for w in words]
            )
            wave += 0.01 * generator.standard_normal(len(wave))
            name = f"{number}-1-{utterance:04d}"
            soundfile.write(chapter / f"{name}.flac", wave / 4, 16000)
            lines.append(f"{name} {' '.join(words)}\n")
        (chapter / f"{number}-1.trans.txt").write_text("".join(lines))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    return folder
