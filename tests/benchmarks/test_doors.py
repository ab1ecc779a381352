"""Tests of the doors' benchmark, not of speed.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json

import pytest

from tests.tiny_recogniser import write_corpus, write_recogniser

NAMES = ["dense", "compact", "compact int8", "torch.export", "ONNX"]


@pytest.fixture
def script(load_benchmark):
    return load_benchmark("doors")


def test_table_and_json(script, tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    model = write_recogniser(tmp_path / "run")
    write_corpus(tmp_path / "corpus", ("test",))
    output = tmp_path / "out" / "doors.json"
    script.main(
        [str(model), "--dense", str(model.parent), "--cpu-time"]
        + ["--data", str(tmp_path / "corpus"), "--seconds", "0.5"]
        + ["--rounds", "2", "--folder", str(tmp_path / "doors")]
        + ["--output", str(output)]
    )
    content = json.loads(output.read_text())
    rows = {row["variant"]: row for row in content["rows"]}
    assert list(rows) == NAMES
    assert rows["dense"]["wer"] == rows["compact"]["wer"]
    for name in ("torch.export", "ONNX"):
        assert rows[name]["wer"] == rows["compact"]["wer"]
        assert rows[name]["max_difference"] < 1e-4
    int8 = rows["compact int8"]
    assert 1e-4 < int8["max_difference"] < 0.5
    assert int8["megabytes"] < rows["compact"]["megabytes"]
    assert all(row["real_time_factor"] > 0 for row in rows.values())
    assert content["parity_met"]
    lost = int8["wer"] - rows["compact"]["wer"]
    assert content["wer_met"] == (lost <= 0.5)
    assert content["utterances"] == 5
    assert "| compact int8 |" in capsys.readouterr().out
