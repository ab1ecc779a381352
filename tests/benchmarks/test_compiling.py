"""Tests of what the benchmarks have compiled.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from dataclasses import replace

import pytest
import torch

from speechbrain_neuronprune import compact


@pytest.fixture
def compiling(load_benchmark):
    return load_benchmark("compiling")


@pytest.fixture
def encoders(load_benchmark):
    return load_benchmark("encoders")


@torch.inference_mode()
@pytest.mark.parametrize("attention", ["RelPosMHAXL", "RoPEMHA"])
def test_one_graph_serves_all_lengths(
    compiling, encoders, monkeypatch, attention
):
    """Of tensors alone: floats are not looked at in every call."""
    graphs, compiler = [], torch.compile

    def count(graph, _):
        graphs.append(graph)
        return graph

    monkeypatch.setattr(
        torch,
        "compile",
        lambda model, options: compiler(model, backend=count),
    )
    size = encoders.SIZES["tiny"]
    dense = encoders.build_encoder(size, attention)
    model = compact(dense, encoders.even_plan(dense, 0.5))
    lengths = [
        encoders.example(replace(size, frames=frames), attention)
        for frames in (10, 7, 25)
    ]
    compiling.begin_compiling(lengths[0].values())
    compiled = compiling.compiled(model)
    for given in lengths:
        torch.testing.assert_close(compiled(**given)[0], model(**given)[0])
    [graph] = graphs
    inputs = [n for n in graph.graph.nodes if n.op == "placeholder"]
    examples = [node.meta["example_value"] for node in inputs]
    tensors = [x for x in examples if isinstance(x, torch.Tensor)]
    # A float would come as a tensor without axes
    assert tensors and all(x.ndim for x in tensors)
