"""The log of measurements survives kills and knows what it is about.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechbrain_neuronprune.analysis.log import MeasurementLog
from speechbrain_neuronprune.errors import DataError

HEADER = {"model": "1f3a", "split": "dev", "words": [2, 1]}
ONE = {"part": "hypo", "share": 0.02, "layers": ["a"]}
TWO = {"part": "hyper", "share": 0.02, "layers": ["a"]}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "measurements" / "dev.jsonl"


@pytest.fixture
def whole(path):
    """A log with two measurements, as text."""
    log = MeasurementLog(path, HEADER)
    log.append(ONE, {"word_errors": [0, 1]})
    log.append(TWO, {"word_errors": [2, 1]})
    return path.read_text()


def test_what_was_measured_is_found_again(path, whole):
    log = MeasurementLog(path, HEADER)
    assert log.find(dict(reversed(ONE.items()))) == {"word_errors": [0, 1]}
    assert log.find(TWO) == {"word_errors": [2, 1]}
    assert log.find(TWO | {"share": 0.04}) is None


def test_nothing_is_written_before_the_first_measurement(path):
    assert MeasurementLog(path, HEADER).find(ONE) is None
    assert not path.parent.exists()


def test_one_line_each_behind_a_header(whole):
    header, *lines = map(json.loads, whole.splitlines())
    assert header["format"] == "speechbrain-neuronprune measurements"
    assert {key: header[key] for key in HEADER} == HEADER
    assert [line["removed"] for line in lines] == [ONE, TWO]


def test_a_torn_line_is_forgotten_wherever_it_is_torn(path, whole):
    header_end = whole.index("\n") + 1
    for end in range(header_end, len(whole)):
        path.write_text(whole[:end])
        log = MeasurementLog(path, HEADER)
        known = whole[:end].count("\n") - 1
        assert len(log.found) == known
        log.append(TWO, {"word_errors": [9, 9]})
        again = MeasurementLog(path, HEADER)
        assert len(again.found) == known + 1
        assert again.find(TWO) == {"word_errors": [9, 9]}


def test_a_second_measurement_counts(path, whole):
    MeasurementLog(path, HEADER).append(ONE, {"word_errors": [7, 7]})
    assert MeasurementLog(path, HEADER).find(ONE) == {"word_errors": [7, 7]}


@given(key=st.sampled_from(sorted(HEADER)), value=st.text())
def test_another_subject_is_refused(tmp_path_factory, key, value):
    path = tmp_path_factory.mktemp("log") / "dev.jsonl"
    MeasurementLog(path, HEADER).append(ONE, {})
    before = path.read_bytes()
    if value == HEADER[key]:
        return
    with pytest.raises(DataError, match=rf"something else \(their {key} diff"):
        MeasurementLog(path, HEADER | {key: value})
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", ["[]", "{}", "\x00", '{"removed": {}}'])
def test_damage_is_refused(path, whole, damage):
    header, one, two = whole.splitlines()
    path.write_text("\n".join([header, damage, two]) + "\n")
    with pytest.raises(DataError, match="dev.jsonl are damaged .*; delete"):
        MeasurementLog(path, HEADER)


def test_an_empty_file_is_refused(path, whole):
    path.write_text("")
    with pytest.raises(DataError, match="are damaged"):
        MeasurementLog(path, HEADER)


def test_a_file_without_an_object_first_is_refused(path, whole):
    path.write_text("[]\n")
    with pytest.raises(DataError, match="are about something else"):
        MeasurementLog(path, HEADER)
