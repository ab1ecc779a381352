"""Checksums: whatever changes a weight, and nothing else, is refused.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest

from speechbrain_neuronprune.deploy.checksums import (
    read_card,
    verify_checksums,
    write_card,
)
from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.files import file_checksum

TEXT = "# A model\n\n| split | WER |\n| --- | --- |\n| test | `1` |\n"


@pytest.fixture
def folder(tmp_path):
    for name in ("model", "tokenizer"):
        (tmp_path / f"{name}.ckpt").write_bytes(name.encode())
    (tmp_path / "hyperparams.yaml").write_text("sample_rate: 16000")
    write_card(tmp_path, TEXT)
    return tmp_path


def test_the_card_names_all_weights(folder):
    card = (folder / "README.md").read_text()
    assert card.startswith(TEXT)
    for name in ("model.ckpt", "tokenizer.ckpt"):
        assert f"| {name} | `{file_checksum(folder / name)}` |" in card
    assert "hyperparams" not in card
    verify_checksums(folder)


def test_one_byte_is_enough(folder):
    expected = file_checksum(folder / "model.ckpt")
    (folder / "model.ckpt").write_bytes(b"modeL")
    found = file_checksum(folder / "model.ckpt")
    with pytest.raises(DataError, match="model.ckpt is damaged") as caught:
        verify_checksums(folder)
    assert expected in str(caught.value)
    assert found in str(caught.value)


def test_a_missing_file_is_damage(folder):
    (folder / "tokenizer.ckpt").unlink()
    with pytest.raises(DataError, match="tokenizer.ckpt is damaged"):
        verify_checksums(folder)


@pytest.mark.parametrize("card", [None, TEXT, b"\xff\xfe"])
def test_without_checksums_there_is_nothing_to_compare(folder, card):
    path = folder / "README.md"
    if card is None:
        path.unlink()
    else:
        path.write_bytes(card if isinstance(card, bytes) else card.encode())
    (folder / "model.ckpt").write_bytes(b"modeL")
    verify_checksums(folder)


def test_a_card_is_read_without_them(folder, tmp_path):
    assert read_card(folder) == TEXT
    write_card(folder, read_card(folder) + "more\n")
    verify_checksums(folder)
    assert (folder / "README.md").read_text().count("SHA-256") == 1
