"""The manifest of a folder that was made.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import hashlib
import json

import pytest

from speechbrain_neuronprune.corpus.manifest import (
    MANIFEST,
    digest,
    holds,
    read_manifest,
    write_manifest,
)

REQUEST = {"seed": 3, "condition": "phone"}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "deep" / "b.txt").write_text("second")
    write_manifest(tmp_path, REQUEST | {"hours": 1.5})
    return tmp_path


def test_every_file_has_its_checksum(folder):
    files = read_manifest(folder)["files"]
    assert files == {
        "a.txt": hashlib.sha256(b"first").hexdigest(),
        "deep/b.txt": hashlib.sha256(b"second").hexdigest(),
    }


def test_what_was_asked_for_is_found(folder):
    assert holds(folder, REQUEST)
    (folder / "notes.txt").write_text("added later")
    assert holds(folder, REQUEST)


@pytest.mark.parametrize("change", [{"seed": 4}, {"noise": None}])
def test_another_request_is_not(folder, change):
    assert not holds(folder, REQUEST | change)


@pytest.mark.parametrize("content", [None, "", "first ", "FIRST"])
def test_a_damaged_file_is_noticed(folder, content):
    (folder / "a.txt").unlink()
    if content is not None:
        (folder / "a.txt").write_text(content)
    assert not holds(folder, REQUEST)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"seed": 3}'])
def test_a_damaged_manifest_is_not_trusted(folder, content):
    (folder / MANIFEST).write_text(content)
    assert not holds(folder, REQUEST)


def test_a_folder_that_is_not_there_holds_nothing(tmp_path):
    assert not holds(tmp_path / "nowhere", REQUEST)


def test_a_digest_is_about_names_and_contents(tmp_path):
    def digest_of(folder, **files):
        (tmp_path / folder).mkdir()
        for name, content in files.items():
            (tmp_path / folder / name).write_text(content)
        paths = [tmp_path / folder / name for name in files]
        return digest(tmp_path / folder, paths)

    one = digest_of("one", a="x", b="y")
    assert digest_of("two", b="y", a="x") == one
    assert digest_of("three", a="y", b="x") != one
    assert digest_of("four", a="x", c="y") != one
    assert digest_of("five", a="x") != one


def test_the_manifest_is_readable(folder):
    assert json.loads((folder / MANIFEST).read_text())["hours"] == 1.5
