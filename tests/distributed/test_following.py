"""Gates that follow an optimiser in several processes, without a Brain.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from speechbrain_neuronprune.gates.informed import InformedDropout
from tests.distributed.launch import in_processes
from tests.distributed.runs import follow


def test_informed_gates_begin_alike_in_all_processes(tmp_path):
    one, other = in_processes(tmp_path / "both", follow, InformedDropout)
    assert one.equal(other)
    assert one[:2].eq(0).all() and one[2].unique().numel() == 7
    assert (one[3:].diff(dim=0) != 0).any()
