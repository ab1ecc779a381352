"""Options of several commands.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import click
import pytest

from speechbrain_neuronprune.cli.options import (
    CommaSeparated,
    Device,
    Size,
    check_file,
    check_folder,
    check_writable,
)
from speechbrain_neuronprune.errors import DataError


def test_lists_with_commas():
    numbers = CommaSeparated(float, "numbers")
    assert numbers.convert(" 2, 4.5,", None, None) == (2.0, 4.5)
    assert numbers.convert((1.0,), None, None) == (1.0,)
    with pytest.raises(click.BadParameter, match="'a' are no numbers"):
        numbers.convert("a", None, None)


@pytest.mark.parametrize("text", ["0.0", "1.5", "-4", "half", "nan"])
def test_sizes_that_are_none(text):
    with pytest.raises(click.BadParameter, match="neither a share"):
        Size().convert(text, None, None)


def test_sizes_are_shares_or_numbers():
    assert Size().convert("1.0", None, None) == 1.0
    assert isinstance(Size().convert("1", None, None), int)


@pytest.mark.parametrize("name", ["abacus", "cuda:99"])
def test_devices_that_are_not_there(name):
    with pytest.raises(click.BadParameter, match="cannot be used"):
        Device().convert(name, None, None)


def test_outputs_below_a_file(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="is no folder; give another"):
        check_writable(str(tmp_path / "file" / "plan.json"))
    assert check_writable(str(tmp_path / "new" / "deep")).name == "deep"


def test_folders_that_hold_something_else(tmp_path):
    assert check_folder(str(tmp_path / "new")) == tmp_path / "new"
    assert check_folder(str(tmp_path)) == tmp_path
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(DataError, match="holds other things"):
        check_folder(str(tmp_path))
    with pytest.raises(DataError, match="is a file"):
        check_folder(str(tmp_path / "thesis.tex"))
    (tmp_path / "model.ckpt").write_text("a checkpoint has this too")
    with pytest.raises(DataError, match="holds other things"):
        check_folder(str(tmp_path))
    (tmp_path / "hyperparams.yaml").write_text("a model directory is replaced")
    assert check_folder(str(tmp_path)) == tmp_path


def test_files_that_are_folders(tmp_path):
    with pytest.raises(DataError, match="is a folder; give a file"):
        check_file(str(tmp_path))
    assert check_file(str(tmp_path / "plan.json")).name == "plan.json"
