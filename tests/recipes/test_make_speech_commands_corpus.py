"""Strings of words made from Speech Commands.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechbrain_neuronprune.errors import DataError

RECIPES = Path(__file__).parents[2] / "recipes" / "LibriSpeech"
spec = importlib.util.spec_from_file_location(
    "make_speech_commands_corpus", RECIPES / "make_speech_commands_corpus.py"
)
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)

WORDS = {"down": 300, "five": 500, "zero": 700}  # word: pitch of its tone
PER_WORD = 3
SHARES = {"dev": 0.2, "test": 0.2}


def write_recording(path, pitch, level=0.3, rate=16_000, channels=1):
    """Write a second with a tone of 0.4 s in it."""
    time = np.arange(rate) / rate
    tone = level * np.sin(2 * np.pi * pitch * time)
    tone[(time < 0.3) | (time >= 0.7)] = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.repeat(tone[:, None], channels, axis=1)
    soundfile.write(path, samples, rate)


@pytest.fixture
def source(tmp_path):
    """Ten speakers, each with nine recordings of three words."""
    folder = tmp_path / "speech_commands"
    for speaker in range(10):
        for word, pitch in WORDS.items():
            for take in range(PER_WORD):
                name = f"{speaker:08x}_nohash_{take}.wav"
                # The speaker's level tells who it is.
                level = 0.05 * (speaker + 1)
                write_recording(folder / word / name, pitch, level)
    (folder / "_background_noise_").mkdir()
    return folder


def run(source, out, **changes):
    arguments = {"words": list(WORDS), "recordings": 0} | SHARES
    make.make_speech_commands_corpus(source, out, **(arguments | changes))
    return out


def transcripts(folder):
    return [
        line.split()[1:]
        for path in sorted(folder.rglob("*.trans.txt"))
        for line in path.read_text().splitlines()
    ]


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_speakers_are_disjoint(source, tmp_path):
    out = run(source, tmp_path / "out")
    speakers = [
        {path.name for path in (out / split).iterdir()}
        for split in ("train", "dev", "test")
    ]
    assert [len(names) for names in speakers] == [6, 2, 2]
    assert len(set.union(*speakers)) == 10
    assert min(set.union(*speakers)) == "20001"


def test_every_recording_is_used_once(source, tmp_path):
    words = sum(transcripts(run(source, tmp_path / "out")), [])
    counts = {word: words.count(word.upper()) for word in WORDS}
    assert counts == dict.fromkeys(WORDS, 10 * PER_WORD)


def test_strings_have_two_to_eight_words(source, tmp_path):
    lengths = {len(t) for t in transcripts(run(source, tmp_path / "out"))}
    assert lengths <= set(range(2, 9))


def test_a_string_is_by_one_speaker(source, tmp_path):
    out = run(source, tmp_path / "out")
    levels = []
    for speaker in out.glob("*/*"):
        peaks = {
            round(float(np.abs(soundfile.read(path)[0]).max()), 2)
            for path in speaker.rglob("*.flac")
        }
        assert len(peaks) == 1
        levels += peaks
    assert len(set(levels)) == 10


def test_the_audio_says_what_the_transcript_says(source, tmp_path):
    out = run(source, tmp_path / "out")
    for path in out.rglob("*.trans.txt"):
        for line in path.read_text().splitlines():
            name, *words = line.split()
            samples, rate = soundfile.read(path.parent / f"{name}.flac")
            assert rate == 16_000
            assert heard(samples) == words


def heard(samples):
    """Tell the words by the pitch of each stretch of tone."""
    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160)
    loud = np.pad(frames.std(1) > 0.01, 1).astype(int)
    edges = np.flatnonzero(np.diff(loud)).reshape(-1, 2) * 160
    words = []
    for start, stop in edges:
        crossings = np.diff(np.signbit(samples[start:stop]))
        pitch = crossings.sum() / 2 / (stop - start) * 16_000
        words.append(min(WORDS, key=lambda word: abs(WORDS[word] - pitch)))
    return [word.upper() for word in words]


def test_gaps_last_30_to_180_ms_and_are_faint(source, tmp_path):
    rng = np.random.RandomState(0)
    gaps = [make.make_gap(rng) for _ in range(200)]
    seconds = [len(gap) / 16_000 for gap in gaps]
    assert 0.030 <= min(seconds) < 0.04 and 0.17 < max(seconds) <= 0.180
    assert 1e-4 < np.concatenate(gaps).std() < 1e-3


def test_the_seed_decides(source, tmp_path):
    first = contents(run(source, tmp_path / "first"))
    assert contents(run(source, tmp_path / "again")) == first
    assert contents(run(source, tmp_path / "other", seed=1)) != first


def test_the_number_of_recordings_is_about_that_asked_for(source, tmp_path):
    out = run(source, tmp_path / "out", recordings=50, dev=0.3, test=0.3)
    assert 50 <= sum(map(len, transcripts(out))) < 50 + 9


@pytest.mark.parametrize("count", range(40))
def test_cuts_leave_no_word_over(count):
    rng = np.random.RandomState(count)
    strings = list(make.cut(count, rng))
    sizes = [last - first for first, last in strings]
    assert sum(sizes) == (0 if count == 1 else count)
    assert all(3 <= size <= 7 for size in sizes[:-1])
    assert all(2 <= size <= 8 for size in sizes[-1:])
    starts = [first for first, _ in strings]
    assert starts == [0, *np.cumsum(sizes)][: len(starts)]


def test_silence_around_a_word_is_trimmed(tmp_path):
    write_recording(tmp_path / "a.wav", 300)
    word = make.trim(make.read(tmp_path / "a.wav"))
    assert 0.4 <= len(word) / 16_000 <= 0.48


def test_silent_recordings_are_left_out(source, tmp_path):
    for path in (source / "zero").iterdir():
        write_recording(path, 700, level=0)
    words = sum(transcripts(run(source, tmp_path / "out")), [])
    assert set(words) == {"DOWN", "FIVE"}
    assert len(words) == 10 * 2 * PER_WORD


@pytest.mark.parametrize("samples", [np.zeros(0), np.ones(16_000)])
def test_no_word_is_found_in_nothing(samples):
    assert make.trim(samples) is None


def break_first(source, content):
    (source / "down" / "00000000_nohash_0.wav").write_bytes(content)


def lose_word(source):
    for path in (source / "five").iterdir():
        path.unlink()


def silence_all(source):
    for path in source.rglob("*.wav"):
        write_recording(path, 300, level=0)


DAMAGES = {
    "garbage": (
        lambda source: break_first(source, b"garbage"),
        r"00000000_nohash_0\.wav cannot be decoded",
    ),
    "sample rate": (
        lambda source: write_recording(
            source / "down" / "00000000_nohash_0.wav", 300, rate=8000
        ),
        "at 8000 Hz",
    ),
    "stereo": (
        lambda source: write_recording(
            source / "down" / "00000000_nohash_0.wav", 300, channels=2
        ),
        "is not mono",
    ),
    "word": (
        lose_word,
        "no recordings of the word 'five' .*: _background_noise_, down, five",
    ),
    "silence": (silence_all, "the split train has two audible recordings"),
}


@pytest.mark.parametrize("damage, message", DAMAGES.values(), ids=DAMAGES)
def test_bad_recordings_are_one_clear_sentence_and_no_folder(
    source, tmp_path, damage, message
):
    damage(source)
    with pytest.raises(DataError, match=message):
        run(source, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"dev": 0}, "leave a split without speakers"),
        ({"dev": 0.5, "test": 0.5}, "their sum below 1"),
        ({"dev": 0.01}, r"10 speaker\(s\) are too few"),
        ({"words": ["down", "cat"]}, "no recordings of the word 'cat'"),
    ],
)
def test_bad_arguments_are_refused(source, tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        run(source, tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_the_command_line(source, tmp_path, capsys):
    words = ["--words", *WORDS]
    shares = ["--dev", "0.2", "--test", "0.2", "--seed", "3"]
    out = tmp_path / "out"
    assert make.main([str(source), str(out), *words, *shares]) == 0
    assert contents(out) == contents(run(source, tmp_path / "same", seed=3))
    assert make.main([str(source), str(out), *words, *shares]) == 1
    assert "holds other files" in capsys.readouterr().err


def test_a_missing_source_is_named(tmp_path, capsys):
    assert make.main([str(tmp_path / "none"), str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "none does not exist" in error
    assert error.count("\n") == 1
