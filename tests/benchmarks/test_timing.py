"""What the timed benchmarks share.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
import time

import pytest
import torch


@pytest.fixture
def timing(load_benchmark):
    return load_benchmark("timing")


@pytest.fixture
def parse(timing):
    def read(*words):
        parser = timing.timing_parser("Compares.", ["a", "b"], ["b"], "it")
        return parser.parse_args(words)

    return read


def test_the_defaults(timing, parse):
    options = parse()
    assert options.sizes == ["b"]
    assert options.rounds is None
    assert options.output == "results/benchmarks/it.json"
    assert timing.set_up(options) is time.perf_counter
    assert torch.get_num_threads() == 2


def test_processor_time_is_taken_on_one_thread(timing, parse):
    options = parse("--cpu-time", "--threads", "2")
    assert timing.set_up(options) is time.process_time
    assert torch.get_num_threads() == 1


def test_every_run_draws_the_same(timing, parse):
    timing.set_up(parse())
    one = torch.rand(3)
    timing.set_up(parse())
    assert torch.equal(torch.rand(3), one)


def test_the_header_tells_how_it_was_measured(timing, parse, tmp_path, capsys):
    path = tmp_path / "deep" / "it.json"
    options = parse("--output", str(path), "--cpu-time")
    timing.write_results(options, timing.set_up(options), bar=2, rows=[])
    assert json.loads(path.read_text()) == {
        "torch": torch.__version__,
        "threads": 1,
        "clock": "process_time",
        "bar": 2,
        "rows": [],
    }
    assert str(path) in capsys.readouterr().out


def test_a_verdict_is_a_word(timing):
    assert (timing.verdict(True), timing.verdict(False)) == ("met", "missed")
