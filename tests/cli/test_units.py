"""``neuronprune units``.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
import shutil

import pytest

from tests.tiny_run import HPARAMS


@pytest.mark.parametrize("source", ["model", "run"])
def test_every_group_is_shown_with_its_share(call, done, paths, source):
    found = json.loads(done(call("units", paths[source], "--json")).stdout)
    assert found["groups"]
    for row in found["groups"]:
        owned = row["units"] * row["parameters_per_unit"]
        assert row["share"] == pytest.approx(owned / found["parameters"])
        assert sum(row["widths"]) == row["units"]
    assert found["units"] == sum(row["units"] for row in found["groups"])


def test_a_table_of_chosen_groups(call, done, paths):
    text = done(call("units", paths["run"], "--targets=ffn")).stdout
    head, *rows, total = text.splitlines()
    assert head.split()[:3] == ["group", "kind", "units"]
    assert [row.split()[1:4] for row in rows] == [["ffn", "24", "33"]] * 2
    assert total.startswith("48 units in 2 groups")


def test_a_recipe_before_training(call, done, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = HPARAMS / "tfcnn_ctc_mini.yaml"
    found = json.loads(done(call("units", path, "--json")).stdout)
    assert {row["kind"] for row in found["groups"]} == {"fc"}
    assert list(tmp_path.iterdir()) == []


def test_an_entry_of_a_yaml(call, done, sentence, tmp_path):
    path = tmp_path / "two.yaml"
    chain = "!new:speechbrain.lobes.models.CRDNN.DNN_Block"
    path.write_text(
        "data: !PLACEHOLDER\n"
        "size: 3\n"
        "one: !new:torch.nn.Sequential\n"
        "  - !new:torch.nn.Linear [2, !ref <size>]\n"
        "  - !new:torch.nn.Tanh\n"
        "  - !new:torch.nn.Linear [!ref <size>, 4]\n"
        "modules: {one: !ref <one>, two: !ref <one>}\n"
    )
    found = json.loads(
        done(call("units", path, "--module=one", "--json")).stdout
    )
    assert [row["units"] for row in found["groups"]] == [3]
    message = sentence(call("units", path))
    assert "(one, two); give one as --module=NAME" in message
    message = sentence(call("units", path, "--module=three"))
    assert "one of its entries: data, size, one, modules" in message
    message = sentence(call("units", path, "--module=size"))
    assert "is a int, no torch module" in message
    path.write_text(f"modules: {{one: {chain} {{}}}}")
    assert "cannot be built" in sentence(call("units", path))


# ------------------------------------------------------------------ bad input


def test_sources_that_are_none(call, sentence, paths, tmp_path):
    message = sentence(call("units", tmp_path / "nowhere"))
    assert message.startswith(f"There is no model in {tmp_path / 'nowhere'}")
    assert "(it is no folder)" in message
    message = sentence(call("units", tmp_path))
    assert "it has no hyperparams.yaml" in message
    message = sentence(call("units", f"{paths['model']}/model.ckpt"))
    assert "give" in message and "recipe's yaml" in message
    (tmp_path / "hyperparams.yaml").write_text("only words")
    for source in (tmp_path, tmp_path / "hyperparams.yaml"):
        message = sentence(call("units", source))
        assert "is no mapping in yaml" in message


def test_a_pattern_that_matches_nothing(call, sentence, paths):
    message = sentence(call("units", paths["model"], "--targets=conv"))
    assert "The target 'conv' matches no unit group" in message


def test_modules_are_for_yaml_files(call, paths):
    result = call("units", paths["run"], "--module=Transformer")
    assert result.exit_code == 2
    assert "--module is for yaml files only" in result.stderr


def test_runs_that_lack_something(call, sentence, paths, tmp_path):
    run = shutil.copytree(paths["run"], tmp_path / "moved")
    assert call("units", run).exit_code == 0
    shutil.rmtree(run / "save" / "CKPT+first")
    shutil.rmtree(run / "save" / "CKPT+last")
    assert "There is no checkpoint in" in sentence(call("units", run))
    (run / "save" / "tokenizer.model").unlink()
    assert f"The run {run} cannot be loaded" in sentence(call("units", run))
    shutil.rmtree(run / "save")
    assert "There is no checkpoint in" in sentence(call("units", run))
    assert not (run / "save").exists()
