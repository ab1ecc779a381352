"""Copies of a split under other acoustic conditions.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from speechbrain_neuronprune.corpus import conditions, domains
from speechbrain_neuronprune.corpus.audio import level
from speechbrain_neuronprune.corpus.domains import main, write_domain
from speechbrain_neuronprune.corpus.layout import write_chapter
from speechbrain_neuronprune.errors import DataError

RATE = 16_000
TEXTS = ["open it", "find it", "count it"]


def speech_of(number, rate=RATE, peak=0.3):
    """Two thirds of a second of bursts, then a pause; different lengths."""
    rng = np.random.RandomState(number)
    samples = np.zeros(rate + 10 * number)
    spoken = 2 * rate // 3
    bursts = np.abs(np.sin(np.arange(spoken) * 12 / rate))
    samples[:spoken] = bursts * rng.uniform(-1, 1, spoken)
    return np.rint(32767 * peak * samples).astype(np.int16)


def write_split(folder, rate=RATE, speakers=(11, 12), peak=0.3):
    for speaker in speakers:
        utterances = [
            (speech_of(10 * speaker + number, rate, peak), text)
            for number, text in enumerate(TEXTS)
        ]
        write_chapter(folder, speaker, 1, utterances, rate)
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_split(tmp_path_factory.mktemp("corpus") / "test")


@pytest.fixture(scope="module")
def noise_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("noise")
    for number in range(3):
        rng = np.random.RandomState(100 + number)
        noise = rng.uniform(-0.2, 0.2, 30_000 + number)
        soundfile.write(folder / f"{number}.wav", noise, RATE)
    return folder


@pytest.fixture(autouse=True)
def few_rooms(monkeypatch):
    """The first ones, which are simulated quickly."""
    monkeypatch.setattr(conditions, "ROOMS", 3)


def read(folder):
    """Every utterance's samples."""
    return {
        path.stem: soundfile.read(path)[0]
        for path in sorted(folder.rglob("*.flac"))
    }


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def decibels(ratio):
    return 20 * np.log10(ratio)


# -------------------------------------------------------------- what is kept


@pytest.mark.parametrize(
    "condition", ["room", "noise:10", "phone", "room+noise:5+phone"]
)
@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050])
def test_names_durations_rates_and_transcripts(tmp_path, condition, rate):
    if "room" in condition:
        pytest.importorskip("pyroomacoustics")
    source = write_split(tmp_path / "test", rate, speakers=[7])
    target = write_domain(source, tmp_path / "copy", condition)
    before, after = read(source), read(target)
    assert before.keys() == after.keys()
    for name in before:
        assert len(after[name]) == len(before[name])
        assert not np.array_equal(after[name], before[name])
    for path in target.rglob("*.flac"):
        info = soundfile.info(path)
        assert (info.samplerate, info.channels) == (rate, 1)
        assert info.subtype == "PCM_16"
        assert path.relative_to(target).parts[:2] == ("7", "1")
    copied = (target / "7" / "1" / "7-1.trans.txt").read_text()
    assert copied == (source / "7" / "1" / "7-1.trans.txt").read_text()


def test_wav_files_and_several_channels_become_flac(tmp_path):
    chapter = tmp_path / "test" / "7" / "1"
    chapter.mkdir(parents=True)
    both = np.stack([speech_of(1), speech_of(1)], 1)
    soundfile.write(chapter / "7-1-0000.wav", both, RATE)
    target = write_domain(tmp_path / "test", tmp_path / "copy", "phone")
    [path] = target.rglob("7-1-*")
    assert path.name == "7-1-0000.flac"
    assert soundfile.info(path).channels == 1


# ------------------------------------------------------------ what is changed


@pytest.mark.parametrize("snr", [0, 12.5, 30])
@pytest.mark.parametrize("recorded", [False, True])
def test_the_snr_of_every_utterance(
    source, noise_folder, tmp_path, snr, recorded
):
    folder = noise_folder if recorded else None
    target = tmp_path / "noisy"
    write_domain(source, target, f"noise:{snr}", noise_folder=folder)
    before, after = read(source), read(target)
    for name, speech in before.items():
        noise = after[name] - speech
        measured = decibels(level(speech) / level(noise))
        assert measured == pytest.approx(snr, abs=0.01)


def test_a_room_keeps_the_level_and_adds_a_tail(source, tmp_path):
    pytest.importorskip("pyroomacoustics")
    target = write_domain(source, tmp_path / "room", "room")
    before, after = read(source), read(target)
    for name in before:
        assert level(after[name]) == pytest.approx(
            level(before[name]), rel=0.01
        )
        pause = slice(2 * RATE // 3 + 200, 2 * RATE // 3 + 1000)
        assert level(before[name][pause]) < 1e-6
        assert level(after[name][pause]) > 1e-3
        # The direct sound did not move.
        lags = np.correlate(after[name][:4000], before[name][100:3900])
        assert np.abs(lags).argmax() == 100


def high(samples):
    """The level above 4.4 kHz."""
    spectrum = np.fft.rfft(samples)
    spectrum[np.fft.rfftfreq(len(samples), 1 / RATE) < 4400] = 0
    return level(np.fft.irfft(spectrum, len(samples)))


def test_a_telephone_has_no_high_frequencies(source, tmp_path):
    target = write_domain(source, tmp_path / "phone", "phone")
    before, after = read(source), read(target)
    for name in before:
        assert decibels(high(after[name]) / high(before[name])) < -30
        # Half of the band of white noise is half of its power.
        assert decibels(level(after[name]) / level(before[name])) > -4


def test_the_order_of_a_condition_matters(source, noise_folder, tmp_path):
    """Noise at the receiver has high frequencies, noise on the line none."""
    here, there = (
        read(
            write_domain(
                source, tmp_path / condition, condition, 0, noise_folder
            )
        )
        for condition in ("phone+noise:0", "noise:0+phone")
    )
    for name in here:
        assert high(here[name]) > 0.3 * level(here[name])
        assert high(there[name]) < 0.01 * level(there[name])


def test_what_is_too_loud_becomes_quieter_as_a_whole(tmp_path):
    source = write_split(tmp_path / "loud", speakers=[7], peak=1.0)
    target = write_domain(source, tmp_path / "noisy", "noise:-20")
    for samples in read(target).values():
        peak = np.abs(samples).max()
        assert peak == pytest.approx(0.99, abs=1e-4)
        assert np.count_nonzero(np.abs(samples) == peak) == 1


# ----------------------------------------------------------- what is random


CONDITION = "noise:10+phone"


def test_the_same_request_gives_the_same_bytes(source, tmp_path):
    one = write_domain(source, tmp_path / "one", CONDITION)
    command = [sys.executable, "-m", domains.__name__]
    command += [source, tmp_path / "two", CONDITION]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "two") == contents(one)


def test_another_seed_gives_other_noise(source, tmp_path):
    one = read(write_domain(source, tmp_path / "one", CONDITION))
    two = read(write_domain(source, tmp_path / "two", CONDITION, seed=1))
    assert not any(np.array_equal(one[name], two[name]) for name in one)


def test_other_utterances_do_not_matter(source, noise_folder, tmp_path):
    """Except for babble, which is made of them."""
    few = write_split(tmp_path / "few", speakers=[12])
    request = {"condition": "noise:10+phone", "noise_folder": noise_folder}
    every = read(write_domain(source, tmp_path / "all", **request))
    some = read(write_domain(few, tmp_path / "some", **request))
    assert len(some) == 3
    for name in some:
        assert np.array_equal(some[name], every[name])


def test_two_conditions_compare_like_with_like(source, tmp_path):
    before = read(source)
    soft = read(write_domain(source, tmp_path / "soft", "noise:20"))
    loud = read(write_domain(source, tmp_path / "loud", "noise:6"))
    for name, speech in before.items():
        noises = [soft[name] - speech, loud[name] - speech]
        assert np.corrcoef(*noises)[0, 1] > 0.999


def test_the_room_is_the_same_with_noise(source, tmp_path):
    pytest.importorskip("pyroomacoustics")
    room = read(write_domain(source, tmp_path / "room", "room"))
    both = read(write_domain(source, tmp_path / "both", "room+noise:60"))
    for name in room:
        error = level(both[name] - room[name]) / level(room[name])
        assert decibels(error) == pytest.approx(-60, abs=0.5)


# ------------------------------------------------------------ the folder


@pytest.fixture(scope="module")
def domain(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("domain") / "phone"
    return write_domain(source, folder, "phone")


def test_a_finished_domain_is_found(source, domain, monkeypatch):
    monkeypatch.setattr(domains, "corrupt", None)
    assert write_domain(str(source), str(domain), "phone") == domain


@pytest.mark.parametrize("change", [{"seed": 1}, {"condition": "noise:3"}])
def test_another_request_does_not_replace_a_domain(source, domain, change):
    request = {"condition": "phone"} | change
    before = contents(domain)
    with pytest.raises(DataError, match="delete it first"):
        write_domain(source, domain, **request)
    assert contents(domain) == before


def test_another_source_does_not_replace_a_domain(domain, tmp_path):
    other = write_split(tmp_path / "test", speakers=[11])
    with pytest.raises(DataError, match="delete it first"):
        write_domain(other, domain, "phone")


def test_other_noise_is_another_request(source, noise_folder, tmp_path):
    target = tmp_path / "noisy"
    write_domain(source, target, "noise:5", noise_folder=noise_folder)
    write_domain(source, target, "noise:5", noise_folder=noise_folder)
    with pytest.raises(DataError, match="delete it first"):
        write_domain(source, target, "noise:5")


def test_a_condition_without_noise_needs_no_noise_folder(source, domain):
    missing = domain / "nowhere"
    assert write_domain(source, domain, "phone", 0, missing) == domain


def test_the_manifest_tells_what_was_asked_for(domain):
    manifest = json.loads((domain / "manifest.json").read_text())
    assert manifest["condition"] == "phone"
    assert manifest["utterances"] == 6
    assert manifest["hours"] == pytest.approx(6 / 3600, rel=0.2)
    assert len(manifest["files"]) == 6 + 2
    assert "11/1/11-1.trans.txt" in manifest["files"]
    assert str(domain.parent) not in json.dumps(manifest)


# -------------------------------------------------------------------- errors


def test_a_condition_that_cannot_be_read_begins_nothing(source, tmp_path):
    with pytest.raises(DataError, match="use room, noise:SNR, phone"):
        write_domain(source, tmp_path / "copy", "phone+cave")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["empty", "nowhere"])
def test_a_source_without_audio_is_refused(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=f"{name} holds no audio files"):
        write_domain(tmp_path / name, tmp_path / "copy", "phone")
    assert not (tmp_path / "copy").exists()


def test_two_recordings_of_one_name_are_refused(tmp_path):
    source = write_split(tmp_path / "test", speakers=[7])
    samples = speech_of(1)
    soundfile.write(source / "7" / "1" / "7-1-0000.wav", samples, RATE)
    with pytest.raises(DataError, match="named 7-1-0000: .*; rename or rem"):
        write_domain(source, tmp_path / "copy", "phone")
    assert not (tmp_path / "copy").exists()


def test_a_target_in_its_source_is_refused(source):
    with pytest.raises(DataError, match="name a folder elsewhere"):
        write_domain(source, source / "11" / "phone", "phone")


def test_an_unreadable_file_is_named_and_nothing_is_left(tmp_path):
    source = write_split(tmp_path / "test", speakers=[7])
    (source / "7" / "1" / "7-1-0002.flac").write_bytes(b"not a flac")
    with pytest.raises(DataError, match=r"7-1-0002\.flac cannot be decoded"):
        write_domain(source, tmp_path / "copy", "phone")
    assert [path.name for path in tmp_path.iterdir()] == ["test"]


def test_an_unreadable_transcript_is_named(tmp_path):
    source = write_split(tmp_path / "test", speakers=[7])
    (source / "7" / "1" / "8-1.trans.txt").symlink_to(tmp_path / "gone")
    with pytest.raises(DataError, match=r"8-1\.trans\.txt cannot be read"):
        write_domain(source, tmp_path / "copy", "phone")
    assert not (tmp_path / "copy").exists()


def test_a_noise_folder_without_audio_is_refused(source, tmp_path):
    with pytest.raises(DataError, match="noise folder .* holds no audio"):
        write_domain(source, tmp_path / "copy", "noise:3", 0, tmp_path)


def test_without_the_library_nothing_is_begun(source, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"speechbrain-neuronprune\[demo\]"):
        write_domain(source, tmp_path / "copy", "phone+room")
    assert list(tmp_path.iterdir()) == []


# -------------------------------------------------------------- command line


def test_the_command_line_prints_a_summary(
    source, noise_folder, tmp_path, capsys
):
    target = tmp_path / "noisy"
    words = [str(source), str(target), "noise:7.50", "--seed", "3"]
    assert main([*words, "--noise", str(noise_folder)]) == 0
    output = capsys.readouterr().out
    assert str(target) in output
    assert "noise:7.5: 6 utterances, 0.1 min" in output
    assert json.loads((target / "manifest.json").read_text())["seed"] == 3


def test_the_command_line_prints_one_sentence_of_error(tmp_path, capsys):
    assert main([str(tmp_path / "a"), str(tmp_path / "b"), "phone"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert "holds no audio files" in output.err
