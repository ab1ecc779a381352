"""Folders appear whole or not at all, and take the place of what they may.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest

from speechbrain_neuronprune.errors import DataError, ExportError
from speechbrain_neuronprune.folders import require_vacant, whole_folder


def write(path, text, **options):
    with whole_folder(path, **options) as temporary:
        (temporary / "a").write_text(text)


def test_the_folder_appears_at_the_end(tmp_path):
    path = tmp_path / "new" / "model"
    with whole_folder(path) as temporary:
        (temporary / "a").write_text("a")
        assert not path.exists()
    assert [child.name for child in path.parent.iterdir()] == ["model"]
    assert (path / "a").read_text() == "a"


def test_a_folder_is_replaced_on_demand_only(tmp_path):
    write(tmp_path / "model", "old")
    with pytest.raises(OSError):
        write(tmp_path / "model", "new")
    assert (tmp_path / "model" / "a").read_text() == "old"
    write(tmp_path / "model", "new", replace=True)
    assert (tmp_path / "model" / "a").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("replace", [False, True])
def test_a_failure_leaves_what_was_there(tmp_path, replace):
    write(tmp_path / "model", "old")
    with pytest.raises(KeyError):
        with whole_folder(tmp_path / "model", replace) as temporary:
            (temporary / "a").write_text("half")
            raise KeyError("bug")
    assert (tmp_path / "model" / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_would_be_lost_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(DataError, match="exists and holds other files"):
        require_vacant(tmp_path)
    with pytest.raises(ExportError, match="is a file that exists"):
        require_vacant(tmp_path / "thesis.tex", ExportError)
