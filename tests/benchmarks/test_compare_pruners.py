"""The comparison of pruners, on runs whose figures are made up.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
import shutil
from pathlib import Path

import pytest
from hyperpyyaml import load_hyperpyyaml

HPARAMS = Path(__file__).parents[2] / "hparams"


@pytest.fixture
def script(load_benchmark):
    return load_benchmark("compare_pruners")


def figures(parameters, errors):
    """20 utterances of 5 words with so many errors each."""
    utterances = {f"u{i:02}": [errors(i), 5] for i in range(20)}
    wer = float(sum(wrong for wrong, _ in utterances.values()))
    split = {"wer": wer, "utterances": utterances}
    return {"parameters": parameters, "splits": {"dev": split}}


def line(arm, seed, **sizes):
    return {"arm": arm, "seed": seed, "steps": 9, "macs": 8e6, "sizes": sizes}


@pytest.fixture
def lines():
    """Dense has one error in each utterance, ours none, the paper's three."""
    runs = []
    for seed in (1, 2):
        runs += [
            line("dense", seed, dense=figures(1000, lambda i: 1)),
            line("informed 0.3", seed, **{"0.3": figures(300, int)}),
            line("narrow 0.3", seed, dense=figures(310, lambda i: i % 2)),
            line(
                "paper",
                seed,
                **{
                    size: figures(1000 * float(size), lambda i: 3)
                    for size in ("0.46", "0.3")
                },
            ),
        ]
    runs[1]["sizes"]["0.3"] = figures(300, lambda i: 0)
    runs[5]["sizes"]["0.3"] = figures(300, lambda i: 0)
    return runs


def test_every_method_and_size_has_a_row(script, lines):
    rows = {(r["method"], r["size"]): r for r in script.summarize(lines)}
    assert set(rows) == {
        ("dense", ""),
        ("informed", "0.3"),
        ("narrow", "0.3"),
        ("paper", "0.3"),
        ("paper", "0.46"),
    }
    assert rows["narrow", "0.3"]["share"] == 0.31
    assert rows["narrow", "0.3"]["macs"] == 8e6
    assert rows["paper", "0.3"]["macs"] is None  # one run, several sizes


def test_differences_are_to_dense_and_to_reference_of_the_same_size(
    script, lines
):
    rows = {(r["method"], r["size"]): r["dev"] for r in script.summarize(lines)}
    ours = rows["informed", "0.3"]
    assert ours["to dense"]["difference"] == pytest.approx(-20.0)
    assert ours["to reference"] is None
    assert rows["narrow", "0.3"]["to reference"]["difference"] == pytest.approx(
        10.0
    )
    assert rows["paper", "0.46"]["to reference"] is None


def test_any_method_may_be_the_reference(script, lines):
    rows = script.summarize(lines, "narrow")
    table = script.markdown(rows, "narrow")
    rows = {(r["method"], r["size"]): r["dev"] for r in rows}
    ours = rows["informed", "0.3"]["to reference"]["difference"]
    assert ours == pytest.approx(-10.0)
    assert rows["narrow", "0.3"]["to reference"] is None
    assert "dev: to narrow" in table


def test_ranks_are_among_methods_of_a_size(script, lines):
    rows = {(r["method"], r["size"]): r["dev"] for r in script.summarize(lines)}
    names = ("informed", "narrow", "paper")
    ranks = [rows[name, "0.3"]["rank"] for name in names]
    assert ranks == [1.0, 2.0, 3.0]
    assert rows["paper", "0.46"]["rank"] == 1.0
    # A tie in the first seed; and seeds that one method lacks do not count
    lines[1]["sizes"]["0.3"] = lines[2]["sizes"]["dense"]
    table = script.collect(lines)
    ranks = script.mean_ranks(table, "0.3", "dev")
    assert [ranks[name] for name in names] == [1.25, 1.75, 3.0]
    table["0.3", "paper"].pop()
    ranks = script.mean_ranks(table, "0.3", "dev")
    assert [ranks[name] for name in names] == [1.5, 1.5, 3.0]
    table["0.3", "paper"].clear()
    assert set(script.mean_ranks(table, "0.3", "dev").values()) == {None}


def test_seeds_that_one_of_two_lacks_are_left_out(script, lines):
    rows = script.summarize([one for one in lines if one is not lines[0]])
    ours = next(row for row in rows if row["method"] == "informed")
    assert ours["seeds"] == [1, 2]
    assert ours["dev"]["to dense"]["difference"] == pytest.approx(-20.0)


def test_table_and_plot_come_from_the_file_alone(
    script, lines, tmp_path, capsys
):
    path = tmp_path / "runs.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    script.main(["--show", str(path)])
    table = capsys.readouterr().out
    assert "| 0.3 | informed | 2 | 300 | 8 M | 0.00 ± 0.00 | 1.0 |" in table
    assert list(tmp_path.iterdir()) == [path]
    picture = tmp_path / "table.png"
    script.main(["--plot", str(picture), "--show", str(path)])
    assert capsys.readouterr().out == table
    assert picture.stat().st_size > 1000


def test_a_table_of_some_methods_and_seeds(script, lines, tmp_path, capsys):
    path = tmp_path / "runs.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    script.main(["--show", str(path), "--methods", "narrow", "--seeds", "2"])
    table = capsys.readouterr().out
    assert "| 0.3 | narrow | 1 |" in table and "| 1 | dense | 1 |" in table
    assert "| informed |" not in table and "| paper |" not in table
    only = script.chosen(lines, ["narrow"], [2])
    ranks = script.mean_ranks(script.collect(only), "0.3", "dev")
    assert ranks == {"narrow": 1.0}
    assert script.chosen(lines, None, None) == lines


def test_errors_may_be_counted_in_characters(script, lines, tmp_path, capsys):
    for one in lines:
        for size in one["sizes"].values():
            split = size["splits"]["dev"]
            count = {"u": [split["wer"], 400], "v": [0, 400]}
            split.update(cer=split["wer"] / 8, characters=count)
    path = tmp_path / "runs.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    script.main(["--show", str(path), "--characters"])
    table = capsys.readouterr().out
    assert "dev CER" in table and "WER" not in table
    assert "| 2.50 ± 0.00 |" in table and "| -2.50 [" in table
    assert lines[0]["sizes"]["dense"]["splits"]["dev"]["wer"] == 20.0


def test_without_the_dense_model_there_is_nothing_to_compare(script, tmp_path):
    with pytest.raises(SystemExit, match="no finished run of the arm 'dense'"):
        script.main(["--show", str(tmp_path / "runs.jsonl")])


def test_a_finished_run_is_logged_once(script, tmp_path, monkeypatch):
    arm = "Taylor 0.3"
    options = script.parse(["d", "--output", str(tmp_path)])
    folder = script.run_folder(tmp_path, arm, 1)
    folder.mkdir()
    sizes = {"dense": figures(10, int), "0.3": figures(3, int)}
    (folder / "sizes.json").write_text(json.dumps(sizes))
    cost = {"cost": {"compact": {"macs": 7}}}
    (folder / "results.json").write_text(json.dumps(cost))
    (folder / "save").mkdir()
    trunk = script.run_folder(tmp_path, "trunk dense", 1)
    trunk.mkdir()
    (trunk / "sizes.json").write_text("{}")
    for _ in range(2):
        script.train(options, arm, 1)
    [logged] = script.log_of(tmp_path).lines()
    assert (logged["arm"], logged["seed"], logged["macs"]) == (arm, 1, 7)
    assert list(logged["sizes"]) == ["0.3"]
    options.steps += 1
    with pytest.raises(SystemExit, match="has runs of 2000 steps, not of 2001"):
        script.train(options, arm, 1)


def test_what_arms_share_is_trained_once(script, tmp_path, monkeypatch):
    trained = []

    def run_recipe(options, arm, seed, yaml, changes):
        folder = script.run_folder(tmp_path, arm, seed)
        trained.append((arm, seed, changes))
        (folder / "save").mkdir(parents=True, exist_ok=True)
        (folder / "save" / "arms").open("a").write(f"{arm}, ")

    def begin_with(trunk, folder, epochs):
        if not folder.exists():
            shutil.copytree(trunk, folder)
            (folder / "save" / "arms").open("a").write(f"{epochs} epochs, ")

    monkeypatch.setattr(script, "begin_with", begin_with)
    monkeypatch.setattr(script, "run_recipe", run_recipe)

    def read_run(options, arm, seed):
        return {"arm": arm, "seed": seed, "steps": options.steps}

    monkeypatch.setattr(script, "read_run", read_run)
    options = script.parse(["d", "--output", str(tmp_path)])
    arms = ("dense", "Taylor 0.3", "adaptive dropout 0.3", "steered 0.3")
    arms += ("narrow 0.3", "informed 0.3")
    for arm in arms:
        script.train(options, arm, 2)

    seen = {
        arm: (script.run_folder(tmp_path, arm, 2) / "save/arms").read_text()
        for arm in arms
    }
    shared = "trunk adaptive dropout, "
    assert seen == {
        "dense": "trunk dense, 13 epochs, dense, ",
        "Taylor 0.3": "trunk dense, trunk dense, 13 epochs, Taylor 0.3, ",
        "adaptive dropout 0.3": f"{shared}13 epochs, adaptive dropout 0.3, ",
        "steered 0.3": f"{shared}{shared}10 epochs, steered 0.3, ",
        "narrow 0.3": "narrow 0.3, ",
        "informed 0.3": f"{3 * 'trunk dense, '}10 epochs, informed 0.3, ",
    }
    [changes, *_] = [c for arm, _, c in trained if arm == shared[:-2]]
    assert (changes["total_steps"], changes["number_of_epochs"]) == (2000, 13)
    assert changes["number_of_checkpoints"] == 4  # epochs 10 to 13
    assert changes["settle_step"] > 13 * 80


# What decides about units, and matters only from then on
LATE = {"target_parameters", "other_targets", "brain_class"} | {
    "steer_size",
    "c_end",
    "hold_steps",
    "decline_steps",
    "settle_step",
    "shrink",
}


def test_arms_of_a_trunk_are_equal_until_the_decision(script):
    for arm in script.ARMS.values():
        if arm.trunk is not None:
            trunk = script.TRUNKS[arm.trunk]
            # Logits of a gate that becomes informed do not learn before
            late = (
                LATE | {"gate", "logits_pull", "logits_lr"}
                if "Informed" in str(arm)
                else LATE
            )
            mine, its = (script.request(a, 2000) for a in (arm, trunk))
            differing = {
                key for key in mine | its if mine.get(key) != its.get(key)
            }
            assert differing <= late
            assert arm.shared <= trunk.decision["settle_step"]
    ours = {
        str({k: v for k, v in arm.changes.items() if "target" not in k})
        for arm in script.ARMS.values()
        if arm.trunk == script.OURS and "steer_size" not in arm.changes
    }
    assert len(ours) == 1  # also in how units are decided


def parameters_of(script, arm, tmp_path):
    arm = script.ARMS[arm]
    overrides = {"data_folder": "d", "output_folder": str(tmp_path)}
    overrides |= script.request(arm, 2000)
    text = "\n".join(f"{key}: {value}" for key, value in overrides.items())
    with open(HPARAMS / f"{script.YAML}.yaml", encoding="utf-8") as file:
        hparams = load_hyperpyyaml(file, text + "\nvocab_size: 10")
    return sum(
        values.numel()
        for module in hparams["modules"].values()
        for name, values in module.named_parameters()
        if not name.endswith("logits")
    )


@pytest.mark.parametrize("control", ["narrow", "shallow"])
@pytest.mark.parametrize("size", [0.46, 0.3, 0.15])
def test_controls_have_the_sizes_that_they_name(
    script, control, size, tmp_path
):
    dense = parameters_of(script, "dense", tmp_path)
    small = parameters_of(script, f"{control} {size}", tmp_path)
    assert small == pytest.approx(size * dense, rel=0.02)


@pytest.mark.parametrize("method", ["adaptive dropout", "Taylor", "paper"])
def test_yaml_takes_what_a_method_changes(script, method, tmp_path):
    arm = method if method == "paper" else f"{method} 0.3"
    dense = parameters_of(script, "dense", tmp_path)
    assert parameters_of(script, arm, tmp_path) == dense


def test_the_informed_yaml_has_the_settings_of_the_comparison(script, tmp_path):
    paths = {"data_folder": "d", "output_folder": str(tmp_path)}
    with open(HPARAMS / "conformer_ctc_mini_informed.yaml") as file:
        hparams = load_hyperpyyaml(file, paths)
    changes = script.request(script.ARMS["informed slow 0.3"], 2000)
    gate = changes.pop("gate")
    assert gate.endswith(hparams["gate"].__qualname__)
    # Of this corpus, and other sizes beside the one that is trained for
    for name in ("short_steps", "other_targets"):
        changes.pop(name)
    assert {name: hparams[name] for name in changes} == changes
