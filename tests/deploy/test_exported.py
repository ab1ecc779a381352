"""Doors out of Python: what comes out computes the same.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import functools
import sys

import pytest
import torch
from torch import nn

from speechbrain_neuronprune import PruningPlan, find_units
from speechbrain_neuronprune.deploy import (
    export_onnx,
    export_program,
    exported,
)
from speechbrain_neuronprune.deploy.exported import load_program, trace
from speechbrain_neuronprune.deploy.onnx_export import OnnxPosteriors
from speechbrain_neuronprune.deploy.parity import (
    FRAMES,
    TOLERANCE,
    check_parity,
    measure_parity,
    valid_difference,
)
from speechbrain_neuronprune.deploy.posteriors import (
    Posteriors,
    load_posteriors,
)
from speechbrain_neuronprune.deploy.transcribe import load_model
from speechbrain_neuronprune.errors import DataError, ExportError
from tests.deploy.test_directory import Run


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A block with heads of uneven widths and without its first feed-forward
    module."""
    torch.manual_seed(5)
    run = Run(tmp_path_factory.mktemp("run"), num_encoder_layers=1)
    keep = {
        name: torch.rand(group.size) < 0.6
        for name, group in find_units(run.dense).items()
    }
    keep["encoder.layers.0.ffn_module1"][:] = False
    folder = tmp_path_factory.mktemp("model") / "model"
    run.write(folder, PruningPlan(keep))
    return folder


@pytest.fixture(scope="module")
def posteriors(directory):
    return load_posteriors(directory)


@pytest.fixture
def traced_once(posteriors, monkeypatch):
    """Tracing takes most of the time."""
    program = _trace_once(posteriors)
    monkeypatch.setattr(exported, "trace", lambda _: program)


_trace_once = functools.cache(exported.trace)


def check(posteriors, program):
    """At lengths and batch sizes that nobody exported or compared with."""
    for batch, time in ((1, 33), (4, 150)):
        features, lengths = posteriors.example(batch, time, seed=9)
        with torch.no_grad():
            expected = posteriors(features, lengths)
            found = program(features, lengths)
        assert valid_difference(expected, found, lengths) < TOLERANCE


def test_a_program_computes_the_same(
    directory, posteriors, traced_once, tmp_path
):
    parity = export_program(directory, tmp_path / "model.pt2")
    assert parity.max_difference < TOLERANCE
    assert parity.cases == 10
    check(posteriors, load_program(tmp_path / "model.pt2"))
    written = (tmp_path / "model.pt2").read_bytes()
    assert str(directory.parent).encode() not in written
    assert b"nn_module_stack" not in written


def test_a_program_holds_what_it_reads(posteriors):
    name = "stages.2.transformer.positional_encoding_decoder.pe"
    assert name in posteriors.state_dict()
    assert name not in _trace_once(posteriors).state_dict


@torch.no_grad()
def test_depthwise_convolutions_stay_convolutions(posteriors):
    assert "unfold" not in exported.trace(posteriors).graph_module.code


@pytest.fixture(scope="module")
def onnx_file(directory, tmp_path_factory):
    """A file, and how it compares with the model."""
    pytest.importorskip("onnxruntime")
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    return path, export_onnx(directory, path)


def test_onnx_computes_the_same(onnx_file, posteriors):
    path, parity = onnx_file
    assert parity.max_difference < TOLERANCE
    model = OnnxPosteriors(path)
    check(posteriors, model)
    names = [one.name for one in model.session.get_inputs()]
    assert names == ["features", "lengths"]
    assert [one.name for one in path.parent.iterdir()] == ["model.onnx"]


def test_onnx_does_not_say_where_it_comes_from(onnx_file):
    written = onnx_file[0].read_bytes()
    for word in (__file__.encode(), b"site-packages", b"pkg.torch"):
        assert word not in written


def test_onnx_gathers_no_units(onnx_file, posteriors):
    """Ragged heads are filled up beforehand. Along the first axis, sizes are
    picked from shapes."""
    onnx = pytest.importorskip("onnx")
    assert not all(getattr(m, "_even", True) for m in posteriors.modules())
    gathers = [
        onnx.helper.get_node_attr_value(node, "axis")
        for node in onnx.load(onnx_file[0]).graph.node
        if node.op_type == "Gather"
    ]
    assert set(gathers) <= {0}


def test_posteriors_are_those_of_the_recogniser(directory, posteriors):
    asr = load_model(directory)
    wavs, lengths = 0.1 * torch.randn(2, 8000), torch.tensor([1.0, 0.5])
    features = asr.mods.encoder["compute_features"](wavs)
    with torch.no_grad():
        found = posteriors(features, lengths)
    expected = asr.encode_batch(wavs, lengths)
    assert valid_difference(expected, found, lengths) < 1e-5


class Stages(nn.Module):
    """Stands for ``Posteriors``."""

    bands = 5
    example = Posteriors.example

    def forward(self, features, lengths):
        return features


def test_a_difference_is_refused():
    stages = Stages()
    assert measure_parity(stages, stages).max_difference == 0.0
    for wrong in (2e-4, float("nan")):
        with pytest.raises(ExportError, match="of the ONNX model differ"):
            check_parity(stages, lambda x, _, wrong=wrong: x + wrong, "ONNX")
    with pytest.raises(ExportError, match="of the ONNX model differ by inf"):
        check_parity(stages, lambda x, _: x[:, :1], "ONNX")


def test_a_nan_at_one_length_is_refused():
    def fail(features, lengths):
        long = features.shape[1] == FRAMES[-1]
        return features * (float("nan") if long else 1.0)

    with pytest.raises(ExportError, match="differ by nan"):
        check_parity(Stages(), fail, "ONNX")


def test_a_model_that_does_not_run_is_refused():
    def fail(features, lengths):
        raise RuntimeError("bad\nshape")

    with pytest.raises(ExportError, match=r"ONNX model fails .*\(bad shape\)"):
        check_parity(Stages(), fail, "ONNX")


def test_no_valid_frame_is_no_difference():
    none = torch.zeros(1, 0, 2)
    assert valid_difference(none, none, torch.ones(1)) == 0.0


def test_padding_may_differ():
    stages = Stages()

    def other_padding(features, lengths):
        frames = torch.arange(features.shape[1])
        valid = frames < (lengths * features.shape[1]).round().unsqueeze(1)
        return features.masked_fill(~valid.unsqueeze(-1), float("inf"))

    assert check_parity(stages, other_padding, "test").max_difference == 0.0


class Branching(Stages):
    """Asks for the values of its input."""

    def forward(self, features, lengths):
        return features if features.sum() > 0 else -features


def test_what_cannot_be_traced_is_an_error():
    with pytest.raises(ExportError, match="cannot be traced"):
        trace(Branching())


@pytest.mark.parametrize("export", [export_onnx, export_program])
def test_targets_that_cannot_be_written(export, directory, tmp_path):
    suffix = {export_onnx: ".onnx", export_program: ".pt2"}[export]
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="cannot be written"):
        export(directory, tmp_path / "file" / f"model{suffix}")
    with pytest.raises(ExportError, match="name ends with"):
        export(directory, tmp_path / "model.bin")
    with pytest.raises(ExportError, match="name ends with"):
        export(directory, tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("export", [export_onnx, export_program])
def test_a_folder_without_a_model_leaves_no_file(export, tmp_path):
    suffix = {export_onnx: ".onnx", export_program: ".pt2"}[export]
    with pytest.raises(DataError, match="no model directory"):
        export(tmp_path / "none", tmp_path / f"model{suffix}")
    assert not list(tmp_path.iterdir())


def test_onnx_names_the_extra_that_is_missing(directory, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ExportError, match=r"neuronprune\[export\]"):
        export_onnx(directory, tmp_path / "model.onnx")


def test_operations_that_onnx_does_not_have(
    directory, traced_once, tmp_path, monkeypatch
):
    pytest.importorskip("onnxruntime")

    def fail(*_, **__):
        raise torch.onnx.errors.OnnxExporterError("no such operation")

    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(ExportError, match="cannot be written as ONNX .no such"):
        export_onnx(directory, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
