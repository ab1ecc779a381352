"""``neuronprune report``.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import importlib
import json

from speechbrain_neuronprune.files import write_json
from tests.tiny_recogniser import COST, RESULTS


def test_the_report_of_a_run(call, done, tmp_path):
    cost = dict.fromkeys(("dense", "masked", "compact"), COST)
    write_json(tmp_path / "results.json", RESULTS | {"cost": cost})
    out = tmp_path / "out"
    result = done(call("report", tmp_path, "-o", out, "--json"))
    assert json.loads(result.stdout) == {"report": f"{out}/report.html"}
    assert (out / "report.html").is_file()


def test_the_report_goes_into_the_run_folder(call, tmp_path, monkeypatch):
    module = importlib.import_module("speechbrain_neuronprune.cli.report")

    def write(folder, output=None):
        return f"{folder}/report/report.html"

    monkeypatch.setattr(module, "write_report", write)
    assert call("report", tmp_path).stdout == (
        f"{tmp_path}/report/report.html\n"
    )


def test_a_folder_that_does_not_exist(call, sentence, tmp_path):
    message = sentence(call("report", tmp_path / "nowhere"))
    assert message.startswith("The run folder")


def test_without_a_folder(call):
    assert call("report").exit_code == 2


def test_no_run_to_report_on(call, sentence, tmp_path):
    message = sentence(call("report", tmp_path))
    assert "is not a run: it holds none of" in message


def test_a_report_that_cannot_be_written(call, sentence, tmp_path):
    write_json(tmp_path / "results.json", RESULTS)
    (tmp_path / "file").write_text("in the way")
    output = tmp_path / "file" / "report"
    message = sentence(call("report", tmp_path, "-o", output))
    assert message.startswith("The report cannot be written to")
