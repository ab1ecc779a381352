"""Putting analyses together: its arithmetic, on made-up measurements."""

import json

import pytest

HOME, DOMAINS = "home/test", ("room/test", "noise/test")
WORDS = {"a": 4, "b": 6}


@pytest.fixture
def script(load_benchmark):
    return load_benchmark("real_pruning")


def removed(part, share=0.0, criterion=None, ablation="zero"):
    layers = [] if part == "none" else ["fc.linear1", "fc.linear2"]
    return {
        "part": part,
        "share": share,
        "hypo": None,
        "criterion": criterion,
        "layers": layers,
        "ablation": ablation,
    }


def write_analysis(folder, harm):
    """Two removals; ``harm`` errors more where hyper neurons are gone, in
    every utterance of the domains."""
    (folder / "measurements").mkdir(parents=True)
    roles = {HOME: "home", **dict.fromkeys(DOMAINS, "domain")}
    splits = {name: {"role": role} for name, role in roles.items()}
    content = json.dumps({"splits": splits})
    (folder / "analysis.json").write_text(content)
    for number, (split, role) in enumerate(roles.items()):
        more = harm if role == "domain" else 0
        lines = [
            {
                "split": split,
                "utterances": list(WORDS),
                "words": list(WORDS.values()),
            },
            {"removed": removed("none"), "errors": {"word_errors": [1, 1]}},
            {
                "removed": removed("hyper", 0.04, "mi"),
                "errors": {"word_errors": [1 + more, 1 + more]},
            },
            {
                "removed": removed("hypo", 0.04, "mi"),
                "errors": {"word_errors": [1, 0]},
            },
            {
                "removed": removed("hypo", 0.04, "mi", "mean"),
                "errors": {"word_errors": [1, 1]},
            },
        ]
        path = folder / "measurements" / f"{number}.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def folders(tmp_path):
    paths = [tmp_path / "one", tmp_path / "two"]
    for path, harm in zip(paths, (1, 3), strict=True):
        write_analysis(path, harm)
    return paths


def test_domains_and_models_are_pooled(script, folders):
    rows = script.summarize([script.read_errors(path) for path in folders])
    none, hyper, hypo, mean = rows
    assert none["home"]["wer"] == none["domain"]["wer"] == 20.0
    assert none["home"]["change"]["difference"] == 0.0
    assert hyper["home"]["change"]["difference"] == 0.0
    assert hyper["domain"]["change"]["difference"] == pytest.approx(40.0)
    assert hypo["domain"]["change"]["difference"] == pytest.approx(-10.0)
    assert hypo["domain"]["change"]["high"] == 0.0
    assert mean["domain"]["change"]["difference"] == 0.0


def test_some_domains_alone(script, folders):
    one, both = (
        script.read_errors(folders[0], domains)["domain"]
        for domains in ("*noise*", "*")
    )
    assert one.keys() == both.keys()
    for removal, errors in one.items():
        words = {name: count for name, (_, count) in errors.items()}
        assert words == WORDS
        assert both[removal] == {
            name: [2 * wrong, 2 * count]
            for name, (wrong, count) in errors.items()
        }
    with pytest.raises(SystemExit, match="no domain like 'phone'"):
        script.read_errors(folders[0], "phone")


def test_a_log_of_another_split_is_left_alone(script, folders):
    logs = folders[0] / "measurements"
    old = (logs / "0.jsonl").read_text().replace(HOME, "home/dev")
    (logs / "old.jsonl").write_text(old)
    rows = script.summarize([script.read_errors(folders[0])])
    assert rows[0]["home"]["wer"] == 20.0


def test_main_prints_a_line_per_part(script, folders, tmp_path, capsys):
    output = tmp_path / "out"
    script.main([*map(str, folders), "--output", str(output)])
    text = capsys.readouterr().out
    line = "| linear1 + linear2 | mi | hyper | zero | +0.00 [+0.00, +0.00] |"
    assert line in text
    assert "| mi | hypo | mean |" in text
    rows = json.loads((output / "pruning.json").read_text())["rows"]
    assert len(rows) == 4
    assert (output / "pruning.png").stat().st_size > 1000
