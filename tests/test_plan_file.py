"""Files of plans: they say what was saved, or are refused with a reason."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speechbrain_neuronprune import PruningPlan
from speechbrain_neuronprune.errors import PlanError


@given(
    st.dictionaries(
        st.text(
            st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1
        ),
        st.lists(st.booleans(), max_size=70),
        max_size=4,
    )
)
def test_any_plan_survives_its_file(tmp_path_factory, keep):
    path = tmp_path_factory.mktemp("plan") / "plan.json"
    plan = PruningPlan(
        {n: torch.tensor(u, dtype=torch.bool) for n, u in keep.items()}
    )
    plan.save(path)
    again = PruningPlan.load(path).keep
    assert list(again) == list(plan.keep)
    assert all(torch.equal(again[n], plan.keep[n]) for n in again)


def saved(tmp_path):
    path = tmp_path / "plan.json"
    PruningPlan({"layer": torch.arange(9) % 3 > 0}).save(path)
    return path


def test_the_file_is_small_and_readable(tmp_path):
    content = json.loads(saved(tmp_path).read_text())
    assert content["version"] == 1
    assert content["groups"] == {"layer": {"units": 9, "kept": "1-2,4-5,7-8"}}


def test_saving_leaves_no_other_file(tmp_path):
    assert [path.name for path in saved(tmp_path).parent.iterdir()] == [
        "plan.json"
    ]


def test_a_missing_plan_is_named(tmp_path):
    with pytest.raises(PlanError, match="nothing.json cannot be read"):
        PruningPlan.load(tmp_path / "nothing.json")


@pytest.mark.parametrize("length", [0, 1, 40, 150])
def test_a_truncated_plan_is_refused(tmp_path, length):
    path = saved(tmp_path)
    path.write_text(path.read_text()[:length])
    with pytest.raises(PlanError, match="not complete JSON"):
        PruningPlan.load(path)


def test_binary_rubbish_is_refused(tmp_path):
    path = tmp_path / "plan.json"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(PlanError, match="plan.json"):
        PruningPlan.load(path)


def test_an_altered_plan_is_refused(tmp_path):
    path = saved(tmp_path)
    path.write_text(path.read_text().replace("4-5", "3-5"))
    with pytest.raises(PlanError, match="altered or damaged"):
        PruningPlan.load(path)


@pytest.mark.parametrize("content", ["[]", "{}", '{"format": "other"}'])
def test_another_json_file_is_refused(tmp_path, content):
    path = tmp_path / "plan.json"
    path.write_text(content)
    with pytest.raises(PlanError, match="no pruning plan"):
        PruningPlan.load(path)


def test_a_newer_version_is_refused(tmp_path):
    path = saved(tmp_path)
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(PlanError, match="version 2"):
        PruningPlan.load(path)
