"""Patches: files, switching, and refusals.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from speechbrain_neuronprune.adaptation.patch import (
    DomainPatch,
    DomainPatches,
    PatchEntry,
)
from speechbrain_neuronprune.adaptation.selective import selective_update
from speechbrain_neuronprune.errors import PatchError


def adapt(case, selection=None, outgoing=True, lr=0.5):
    """A patch and what the adapted model says; the model is as before."""
    selection = case.selection if selection is None else selection
    update = selective_update(case.model, selection, outgoing)
    case.train(torch.optim.SGD(update.parameters(), lr=lr), steps=2)
    patch = update.patch()
    output = case.output()
    update.undo()
    return patch, output


@pytest.mark.parametrize("outgoing", [False, True])
def test_a_patch_survives_its_file_and_makes_the_adapted_model(
    case, outgoing, tmp_path, snapshot, is_unchanged
):
    before = snapshot(case.model)
    patch, adapted = adapt(case, outgoing=outgoing)
    patch.save(tmp_path / "a.safetensors")
    patches = DomainPatches(case.model)
    patches.add("a", DomainPatch.load(tmp_path / "a.safetensors"))
    patches.use("a")
    assert torch.equal(case.output(), adapted)
    assert is_unchanged(case.model, before, case.chosen(outgoing))
    patches.use(None)
    assert is_unchanged(case.model, before)


def test_it_counts_what_it_sets(case):
    for outgoing in (False, True):
        patch, _ = adapt(case, outgoing=outgoing)
        masks = case.chosen(outgoing).values()
        assert patch.parameters == sum(int(mask.sum()) for mask in masks)


def test_several_lie_side_by_side(chain, snapshot, is_unchanged):
    """Overlapping choices, switched in any order."""
    before = snapshot(chain.model)
    choices = {
        "a": {"0": torch.arange(10) < 4},
        "b": {"0": torch.arange(10) > 2, "4": torch.arange(9) > 5},
        "c": {"4": torch.arange(9) < 7},
    }
    patches, outputs = DomainPatches(chain.model), {}
    for name, selection in choices.items():
        patch, outputs[name] = adapt(chain, selection)
        patches.add(name, patch)
    assert patches.names == ["a", "b", "c"]
    for name in ["b", "a", "a", "c", "b"]:
        patches.use(name)
        assert patches.active == name
        assert torch.equal(chain.output(), outputs[name])
    patches.use(None)
    assert patches.active is None
    assert is_unchanged(chain.model, before)


def test_a_patch_can_be_added_while_another_is_in_use(chain):
    first, _ = adapt(chain, lr=0.1)
    second, output = adapt(chain)
    patches = DomainPatches(chain.model)
    patches.add("first", first)
    patches.use("first")
    patches.add("second", second)
    patches.use("second")
    assert torch.equal(chain.output(), output)


def test_switching_is_in_place(chain):
    weight = chain.model[0].weight
    patch, _ = adapt(chain)
    patches = DomainPatches(chain.model)
    patches.add("a", patch)
    patches.use("a")
    assert chain.model[0].weight is weight and weight.requires_grad


@settings(max_examples=25)
@given(data=st.data())
def test_any_selection_survives(tmp_path_factory, data):
    model = nn.Sequential(
        nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2)
    )
    chosen = {
        name: torch.from_numpy(data.draw(hnp.arrays(bool, size)))
        for name, size in (("0", 5), ("2", 4))
    }
    if not torch.cat(list(chosen.values())).any():
        chosen["0"][0] = True
    before = copy.deepcopy(model.state_dict())
    update = selective_update(model, chosen, data.draw(st.booleans()))
    with torch.no_grad():
        for values in update.parameters():
            values.normal_()
    path = tmp_path_factory.mktemp("patch") / "a.safetensors"
    update.patch().save(path)
    learned = copy.deepcopy(copy.deepcopy(update).finish().state_dict())
    patches = DomainPatches(update.undo())
    patches.add("a", DomainPatch.load(path))
    patches.use("a")
    state = model.state_dict()
    assert all(torch.equal(state[name], learned[name]) for name in learned)
    patches.use(None)
    state = model.state_dict()
    assert all(torch.equal(state[name], before[name]) for name in before)


def test_the_file_is_a_fraction_of_the_model(tmp_path):
    """12 % of the neurons of two of three layers."""
    widths = [40, 200, 200, 200, 30]
    layers = [
        nn.Linear(*pair) for pair in zip(widths, widths[1:], strict=False)
    ]
    model = nn.Sequential(*(m for one in layers for m in (one, nn.Sigmoid())))
    chosen = torch.arange(200) < 24
    update = selective_update(model, {"0": chosen, "2": chosen})
    update.patch().save(tmp_path / "a.safetensors")
    update.undo()
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    small, large = (
        (tmp_path / f"{name}.safetensors").stat().st_size
        for name in ("a", "model")
    )
    assert small < 0.09 * large


# ------------------------------------------------------------------ files


@pytest.fixture
def saved(tmp_path):
    """A small patch in a file."""
    entry = PatchEntry("bias", 0, torch.tensor([1, 4]), torch.randn(2))
    path = tmp_path / "reverb.safetensors"
    DomainPatch("0123", [entry]).save(path)
    return path


def change(path, **parts):
    """Write a file again that says something else of itself."""
    with safe_open(path, "pt") as file:
        content = json.loads(file.metadata()["patch"])
    metadata = {"patch": json.dumps({**content, **parts})}
    save_file(load_file(path), path, metadata)


def test_saving_leaves_no_other_file(saved):
    assert list(saved.parent.iterdir()) == [saved]


def test_positions_are_stored_in_four_bytes(saved):
    assert load_file(saved)["0.index"].dtype == torch.int32


def test_the_same_patch_makes_the_same_bytes(saved):
    again = saved.with_name("again.safetensors")
    DomainPatch.load(saved).save(again)
    assert again.read_bytes() == saved.read_bytes()


def test_a_missing_patch_is_named(tmp_path):
    with pytest.raises(PatchError, match="nothing.safetensors cannot be read"):
        DomainPatch.load(tmp_path / "nothing.safetensors")


def test_a_folder_is_no_patch(tmp_path):
    with pytest.raises(PatchError, match="cannot be read"):
        DomainPatch.load(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.999])
def test_a_truncated_patch_is_refused(saved, share):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])
    with pytest.raises(PatchError, match="truncated"):
        DomainPatch.load(saved)


def test_an_altered_value_is_refused(saved):
    content = bytearray(saved.read_bytes())
    content[-1] ^= 1
    saved.write_bytes(content)
    with pytest.raises(PatchError, match="altered or damaged"):
        DomainPatch.load(saved)


@pytest.mark.parametrize("key", ["entries", "fingerprint"])
def test_altered_metadata_are_refused(saved, key):
    change(saved, **{key: []})
    with pytest.raises(PatchError, match="altered or damaged"):
        DomainPatch.load(saved)


@pytest.mark.parametrize("metadata", [None, {}, {"patch": "{"}])
def test_another_safetensors_file_is_refused(tmp_path, metadata):
    save_file({"x": torch.zeros(2)}, tmp_path / "x.safetensors", metadata)
    with pytest.raises(PatchError, match="no domain patch"):
        DomainPatch.load(tmp_path / "x.safetensors")


def test_a_newer_version_is_refused(saved):
    change(saved, version=2)
    with pytest.raises(PatchError, match="version 2.*version that wrote it"):
        DomainPatch.load(saved)


# --------------------------------------------------------------- refusals


def test_another_model_is_refused_by_name(chain):
    patch, _ = adapt(chain)
    other = copy.deepcopy(chain.model)
    with torch.no_grad():
        other[6].bias[0] += 1e-6
    patches = DomainPatches(other)
    with pytest.raises(PatchError) as error:
        patches.add("a", patch)
    assert patch.fingerprint in str(error.value)
    assert patches.fingerprint in str(error.value)


def test_unknown_and_taken_names(chain):
    patch, _ = adapt(chain)
    patches = DomainPatches(chain.model)
    patches.add("a", patch)
    with pytest.raises(PatchError, match="'a' already"):
        patches.add("a", patch)
    with pytest.raises(PatchError, match=r"no patch 'b'.*\['a'\]"):
        patches.use("b")


def test_not_while_the_model_is_being_adapted(chain):
    patch, _ = adapt(chain)
    patches = DomainPatches(chain.model)
    patches.add("a", patch)
    selective_update(chain.model, chain.selection)
    with pytest.raises(PatchError, match="already being adapted"):
        patches.use("a")
    with pytest.raises(PatchError, match="already being adapted"):
        DomainPatches(chain.model)


@pytest.mark.parametrize(
    "broken",
    [
        {"parameter": "nowhere"},
        {"dim": 2},
        {"dim": -1},
        {"index": torch.tensor([0, 99])},
        {"index": torch.tensor([0, -1])},
        {"values": torch.zeros(2, 1)},
    ],
)
def test_a_patch_that_does_not_fit_is_refused(chain, broken):
    patch, _ = adapt(chain)
    first = {
        "parameter": patch.entries[0].parameter,
        "dim": patch.entries[0].dim,
        "index": torch.tensor([0, 1]),
        "values": patch.entries[0].values[:2],
    }
    other = PatchEntry(**{**first, **broken})
    patches = DomainPatches(chain.model)
    message = f"'a' does not fit the model at {other.parameter}; repeat"
    with pytest.raises(PatchError, match=message):
        patches.add(
            "a", DomainPatch(patch.fingerprint, [*patch.entries, other])
        )
    assert patches.names == []


def test_a_patch_is_on_as_a_whole_or_not_at_all(
    chain, monkeypatch, snapshot, is_unchanged
):
    before = snapshot(chain.model)
    patch, _ = adapt(chain)
    patches = DomainPatches(chain.model)
    patches.add("a", patch)
    put, last = PatchEntry.put, patch.entries[-1]

    def fail(entry, model):
        if entry is last:
            raise KeyboardInterrupt
        put(entry, model)

    monkeypatch.setattr(PatchEntry, "put", fail)
    with pytest.raises(KeyboardInterrupt):
        patches.use("a")
    assert len(patch.entries) > 1
    assert patches.active is None
    assert is_unchanged(chain.model, before)


def test_metadata_that_are_no_object_are_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.zeros(1)}, path, {"patch": "[1]"})
    with pytest.raises(PatchError, match="is no domain patch"):
        DomainPatch.load(path)
