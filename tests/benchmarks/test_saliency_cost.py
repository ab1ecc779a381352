"""Tests of the saliency pass's benchmark, not of speed.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json

import pytest
import torch

from speechbrain_neuronprune.saliency import CRITERIA

MODELS = ["tfcnn", "conformer", "crdnn"]


@pytest.fixture
def script(load_benchmark):
    return load_benchmark("saliency_cost")


@pytest.fixture
def tiny(script):
    """A function from a model's name to a tiny one and its speech."""

    def build(kind):
        size = script.SIZES["tiny"]
        model, features = script.MODELS[kind](size)
        speech = script.draw_speech(2, 3, 20, features, "cpu")
        return model.eval(), list(speech)

    return build


def test_table_and_json(script, tmp_path, capsys):
    output = tmp_path / "out" / "saliency_cost.json"
    script.main(
        ["--sizes", "tiny", "--rounds", "2", "--cpu-time"]
        + ["--output", str(output)]
    )
    content = json.loads(output.read_text())
    rows = content["rows"]
    assert (content["threads"], content["clock"]) == (1, "process_time")
    assert [row["model"] for row in rows] == MODELS
    for row in rows:
        assert set(row["median_ms"]) == {
            *("evaluation", "all", "sampled", "mi_lagged/8", "gradient"),
            *("mi", "mi_lagged", "obs", "activation", "taylor"),
        }
        assert set(row["over_evaluation"]) == set(row["median_ms"])
        assert row["rounds"] == 2
        assert row["frames"] == 80
    for key in ("all", "sampled"):
        worst = max(row["over_evaluation"][key] for row in rows)
        assert content["met"][key] == (worst <= 1.15)
    assert content["memory_met"]
    table = capsys.readouterr().out
    assert table.count("tiny") == 3
    assert "Bar: all / evaluation <= 1.15" in table
    assert "Bar: sampled / evaluation <= 1.15" in table
    assert "Bar: memory with 100 times the speech <= 1.01 times: met" in table


def test_chosen_passes_alone_are_timed(script, tmp_path, capsys):
    output = tmp_path / "saliency_cost.json"
    script.main(
        ["--sizes", "tiny", "--rounds", "1", "--models", "tfcnn"]
        + ["--passes", "sampled", "--output", str(output)]
    )
    content = json.loads(output.read_text())
    [row] = content["rows"]
    assert list(row["median_ms"]) == ["evaluation", "sampled"]
    assert list(content["met"]) == ["sampled"]
    assert "all / evaluation" not in capsys.readouterr().out


def test_the_claim_is_about_all_criteria_but_three(script):
    apart = set(CRITERIA) - set(script.TOGETHER)
    assert apart == {"obs", "taylor", "mi_lagged"}
    assert set(CRITERIA) - set(script.SAMPLED) == {"obs"}


@pytest.mark.parametrize("kind", MODELS)
def test_every_pass_measures_the_units_of_the_model(
    script, tiny, kind, monkeypatch
):
    measured, strides = [], []
    measure = script.measure_saliency

    def spy(*arguments, **options):
        measured.append(measure(*arguments, **options))
        strides.append(options.get("frame_stride"))

    monkeypatch.setattr(script, "measure_saliency", spy)
    model, batches = tiny(kind)
    compared = script.passes(model, script.TARGETS[kind])
    for name in ("all", "sampled", "mi_lagged/8", *script.ALONE):
        compared[name](batches)
    together, sampled, sparse, *alone = measured
    assert list(together) == script.TOGETHER
    assert list(sampled) == script.SAMPLED
    assert list(sparse) == ["mi_lagged"]
    assert strides == [None, 32, 8, *[None] * len(script.ALONE)]
    assert [list(one) for one in alone] == [[name] for name in script.ALONE]
    groups = {"tfcnn": 2, "conformer": 2, "crdnn": 2}
    for one in measured:
        assert all(len(by_group) == groups[kind] for by_group in one.values())


def test_a_pass_pays_for_all_but_the_evaluation(script, tiny):
    """The clock ticks once per evaluated batch, and ten times per batch
    that a pass has seen."""
    model, batches = tiny("tfcnn")
    ticks = 0

    def tick(*_):
        nonlocal ticks
        ticks += 1

    model.register_forward_hook(tick)

    def one(batches):
        nonlocal ticks
        for _ in batches:
            ticks += 10

    found = script.compare(model, batches, one, lambda: ticks)
    assert found == (2, 20)


def test_evaluation_comes_first_and_second_in_turn(script, tiny):
    model, batches = tiny("tfcnn")
    order = []
    model.register_forward_hook(lambda *_: order.append("evaluated"))
    for _ in script.Evaluated(model, batches * 2, lambda: 0.0):
        order.append("seen")
    evaluated, seen = "evaluated", "seen"
    assert order == [evaluated, seen, seen, evaluated] * 2


@pytest.mark.parametrize("kind", MODELS)
def test_evaluation_reads_all_speech_without_gradients(script, tiny, kind):
    model, batches = tiny(kind)
    outputs = []
    model.register_forward_hook(lambda *seen: outputs.append(seen[-1]))
    script.evaluate(model, batches)
    assert [len(one) for one in outputs] == [3, 3]
    assert not any(one.requires_grad for one in outputs)
    script.differentiate(model, batches)
    assert all(one.requires_grad for one in outputs[2:])
    assert any(p.grad is not None for p in model.parameters())


def test_the_conformer_does_not_attend_to_padding(script, tiny):
    """Its convolutions, with a kernel of 3, see one frame of it."""
    model, [(x, lengths), _] = tiny("conformer")
    padded = x.clone()
    padded[0, 12:] = 9.0
    assert lengths[0] * x.shape[1] == pytest.approx(12)
    with torch.no_grad():
        one, two = (model(each, lengths) for each in (x, padded))
    assert torch.allclose(one[0, :11], two[0, :11], atol=1e-5)


def test_a_fifth_of_the_speech_is_padding(script):
    [(x, lengths)] = script.draw_speech(1, 9, 20, 5, "cpu")
    assert x.shape == (9, 20, 5)
    assert lengths.mean().item() == pytest.approx(0.8)
    assert lengths.max() == 1


def test_memory_would_be_seen_to_grow(script, monkeypatch):
    size = script.SIZES["tiny"]
    model, features = script.build_tfcnn(size)

    def hoard(model, batches, criteria, targets):
        kept = [x + 1 for x, _ in batches]
        return sum(len(x) for x in kept)

    monkeypatch.setattr(script, "measure_saliency", hoard)
    peaks = script.measure_memory(size, model, features, "tfcnn", "cpu")
    assert script.growth({"peak_mb": peaks}) > 5


def test_an_unknown_size_is_refused(script, capsys):
    with pytest.raises(SystemExit) as stop:
        script.main(["--sizes", "huge"])
    assert stop.value.code == 2
    assert "invalid choice: 'huge'" in capsys.readouterr().err
