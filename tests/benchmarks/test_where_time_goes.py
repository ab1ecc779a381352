"""Tests of the condensed profile, not of speed.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json

import pytest


@pytest.fixture
def script(load_benchmark):
    return load_benchmark("where_time_goes")


@pytest.mark.parametrize(
    ("operator", "kind"),
    [
        ("aten::addmm", "products"),
        ("aten::baddbmm", "products"),
        ("aten::add_", "sums and factors"),
        ("aten::_softmax", "softmax"),
        ("aten::mkldnn_convolution", "convolution"),
        (
            "aten::_scaled_dot_product_flash_attention_for_cpu",
            "fused attention",
        ),
        ("aten::native_layer_norm", "norms"),
        ("aten::transpose", "other"),
    ],
)
def test_operators_have_kinds(script, operator, kind):
    assert script.kind_of(operator) == kind


def test_table_and_json(script, tmp_path, capsys):
    output = tmp_path / "time.json"
    script.main(["--sizes", "tiny", "--rounds", "2", "--output", str(output)])
    rows = json.loads(output.read_text())["rows"]
    attention = {row["attention"] for row in rows}
    assert attention == {"RelPosMHAXL", "RoPEMHA"}
    for row in rows:
        assert row["ms"]["products"] > 0 and row["ms"]["convolution"] > 0
        fused = row["ms"]["fused attention"] > 0
        assert fused == (row["attention"] == "RoPEMHA")
    assert "softmax" in capsys.readouterr().out
