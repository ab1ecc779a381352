"""What is trained in which order, plans without training, and the table.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import csv
import json

import pytest

from tests.tiny_recogniser import TEXTS, write_corpus
from tests.tiny_run import write_run


@pytest.fixture
def from_dense(load_benchmark):
    return load_benchmark("from_dense")


def parse(module, tmp_path, *more):
    options = ["--output", str(tmp_path), "--seeds", "1", "--steps", "2000"]
    return module.parse(["corpus", *options, *more])


def figures(parameters, errors):
    utterances = {f"u{i:02}": [errors(i), 5] for i in range(20)}
    wrong = sum(count for count, _ in utterances.values())
    split = {"wer": float(wrong), "utterances": utterances}
    return {"parameters": parameters, "splits": {"dev": split}}


def test_the_dense_model_comes_first(from_dense, tmp_path, monkeypatch):
    import real_speech

    ran = []

    def record(arguments, arm, seed, yaml, changes):
        ran.append((arm, yaml, changes))

    monkeypatch.setattr(real_speech, "run_recipe", record)
    monkeypatch.setattr(from_dense, "run_recipe", record)
    arms = ["--arms", "fine-tuned, distilled", "fine-tuned"]
    from_dense.run(parse(from_dense, tmp_path, *arms))
    assert [arm for arm, _, _ in ran] == ["dense", *reversed(arms[1:])]
    yamls = [yaml for _, yaml, _ in ran]
    assert yamls == [
        "conformer_ctc_mini_dense",
        *["conformer_ctc_mini_finetune"] * 2,
    ]
    plain, distilled = (changes for _, _, changes in ran[1:])
    assert plain["starting_point"] == tmp_path / "dense-1"
    assert plain["number_of_epochs"] * plain["steps_per_epoch"] == 664
    assert {k for k in plain if plain[k] != distilled.get(k)} == {
        "distill_posteriors",
        "distill_blocks",
    }


def test_a_dense_model_of_fewer_steps(from_dense, tmp_path, monkeypatch):
    import real_speech

    epochs = {}

    def record(arguments, arm, seed, yaml, changes):
        epochs[arm] = changes["number_of_epochs"]

    monkeypatch.setattr(real_speech, "run_recipe", record)
    monkeypatch.setattr(from_dense, "run_recipe", record)
    arms = ["--arms", "adaptive dropout 0.45", "fine-tuned"]
    steps = ["--dense_steps", "1360", "--steps", "1920"]
    options = parse(from_dense, tmp_path, *arms, *steps)
    from_dense.run(options)
    assert epochs == {"dense": 17, arms[1]: 24, "fine-tuned": 8}
    rows = ("dense", *arms[1:], "mbp 0.45")
    taken = [from_dense.steps_of(row, options) for row in rows]
    assert taken == [1360, 1920, 640, 0]


def test_the_table(from_dense, tmp_path, capsys, monkeypatch):
    runs = {
        "dense": {"dense": figures(1000, lambda i: 1)},
        "adaptive dropout 0.45": {"0.45": figures(450, lambda i: i % 2)},
        "fine-tuned": {"0.45": figures(450, lambda i: 1)},
        "plans": {"mbp 0.45": figures(450, lambda i: 2)},
    }
    for arm, content in runs.items():
        folder = tmp_path / f"{arm.replace(' ', '-')}-1"
        folder.mkdir()
        (folder / "sizes.json").write_text(json.dumps(content))
    options = parse(from_dense, tmp_path, "--arms", *runs)
    monkeypatch.setattr(from_dense, "parse", lambda _: options)
    from_dense.main([])  # nothing is left to be run
    summary = json.loads((tmp_path / "from_dense.json").read_text())
    rows = summary["rows"]
    assert [row["steps"] for row in rows.values()] == [2000, 2000, 664, 0]
    gaps = rows["fine-tuned"]["dev"]
    assert gaps["to dense"] == {"difference": 0.0, "low": 0.0, "high": 0.0}
    gap = gaps["to adaptive dropout 0.45"]
    assert gap["difference"] == pytest.approx(10.0) and gap["low"] > 0
    assert "| mbp 0.45 | 0 | 450 | 45.0% | 40.00" in capsys.readouterr().out


def test_plans_without_training(from_dense, tmp_path, monkeypatch):
    corpus = write_corpus(tmp_path / "corpus", ("train-clean",))
    run = write_run(tmp_path / "dense-1", "conformer_ctc_mini_dense")
    audio = sorted(corpus.glob("train-clean/*/*/*.flac"))
    for split in ("dev-clean", "test-clean"):
        with open(run / "save" / f"{split}.csv", "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["ID", "duration", "wav", "wrd"])
            for path, text in zip(audio, TEXTS, strict=True):
                rows.writerow([path.stem, 0.4, path, text])
    monkeypatch.setattr(from_dense, "SIZES", (0.9,))
    options = parse(from_dense, tmp_path)
    options.data_folder = corpus
    from_dense.measure_plans(options, 1)
    sizes = json.loads((tmp_path / "plans-1/sizes.json").read_text())
    assert list(sizes) == ["mbp 0.9", "taylor 0.9", "activation 0.9"]
    whole = from_dense.open_source(str(run)).parameters
    for found in sizes.values():
        assert found["parameters"] == pytest.approx(0.9 * whole, rel=0.01)
        assert list(found["splits"]) == ["dev-clean", "test-clean"]
        assert len(found["splits"]["dev-clean"]["utterances"]) == len(TEXTS)
