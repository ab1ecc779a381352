"""Tests of the benchmark of the unpruned parts, not of speed.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json

import pytest
import yaml


@pytest.fixture
def script(load_benchmark):
    return load_benchmark("front_end_speed")


def test_table_and_json(script, tmp_path, capsys):
    output = tmp_path / "front_end_speed.json"
    script.main(
        ["--sizes", "tiny", "--rounds", "1", "--cpu-time"]
        + ["--output", str(output)]
    )
    content = json.loads(output.read_text())
    rows = [(row["layer"], row["pass"]) for row in content["rows"]]
    assert rows == [
        ("front end", "10 s"),
        ("front end", "30 s"),
        ("front end", "step"),
        ("dropout", "step"),
    ]
    for row in content["rows"]:
        assert row["ratio"] == row["ours_ms"] / row["stock_ms"]
    assert "front end" in capsys.readouterr().out


@pytest.mark.parametrize(
    "size, recipe",
    [("4x96", "mini"), ("12x144", "small"), ("17x512", "large")],
)
def test_sizes_are_those_of_the_recipes(script, size, recipe, pytestconfig):
    path = pytestconfig.rootpath / f"hparams/conformer_ctc_{recipe}.yaml"

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("!", lambda *node: None)
    entries = yaml.load(path.read_text(encoding="utf-8"), Loader)
    channels, width = script.SIZES[size]
    given = entries["cnn_channels"]
    assert channels == (given if isinstance(given, list) else [given] * 2)
    assert width == entries["d_model"]
