"""The group of commands: help, and what all have in common.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import os
import runpy
import sys

import pytest

from speechbrain_neuronprune.cli import main
from speechbrain_neuronprune.errors import PlanError

COMMANDS = (
    "units",
    "plan",
    "compact",
    "sweep",
    "analyze",
    "adapt",
    "export",
    "report",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(call, command):
    result = call(command, "--help")
    assert result.exit_code == 0
    assert f"neuronprune {command} results/" in result.stdout
    assert "--json" in result.stdout


def test_the_package_is_the_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["anything", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("speechbrain_neuronprune", run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("Usage: neuronprune ")


def test_all_commands_are_listed_in_the_order_of_work(call):
    text = call("-h").stdout.split("Commands:")[1]
    listed = [line.split()[0] for line in text.splitlines() if line.strip()]
    assert [word for word in listed if word in COMMANDS] == list(COMMANDS)


@pytest.fixture
def command():
    """Add a command for a while."""
    yield main.command("fail")
    main.commands.pop("fail")


def test_commands_that_are_added_fail_alike(command, call, sentence):
    @command
    def fail():
        raise PlanError("The plan is bad; make a better one.")

    assert sentence(call("fail")) == "The plan is bad; make a better one."


def test_files_in_the_way_are_one_sentence(command, call, sentence, tmp_path):
    @command
    def fail():
        open(tmp_path)

    message = sentence(call("fail"))
    assert message.startswith(f"{tmp_path} cannot be read or written (Is a d")


def test_a_renaming_names_what_was_to_be_replaced(
    command, call, sentence, tmp_path
):
    @command
    def fail():
        (tmp_path / "temporary").write_text("new")
        os.replace(tmp_path / "temporary", tmp_path / "..")

    assert sentence(call("fail")).startswith(f"{tmp_path / '..'} cannot be")


@pytest.mark.parametrize("words", [["nothing"], ["units"], ["plan", "."]])
def test_what_cannot_be_understood_is_status_2(call, words):
    assert call(*words).exit_code == 2
