"""Files that grow by lines: a kill may tear the last one, and no other.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json

from hypothesis import given
from hypothesis import strategies as st

from speechbrain_neuronprune.files import read_whole_lines, write_json_lines

LINES = [{"epoch": 1, "text": "a\u2028b\x1cc\n"}, {}, [1, None]]


def test_all_lines_come_back(tmp_path):
    path = tmp_path / "log.jsonl"
    write_json_lines(path, LINES)
    whole, torn = read_whole_lines(path)
    assert [json.loads(line) for line in whole] == LINES
    assert torn == ""


@given(text=st.text(alphabet='ab"{}\n\u2028\x1c'))
def test_nothing_is_lost_wherever_it_is_torn(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    path.write_text(text, encoding="utf-8")
    whole, torn = read_whole_lines(path)
    assert len(whole) == text.count("\n")
    assert "\n".join([*whole, torn]) == text
