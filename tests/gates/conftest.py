"""What the tests of gates share.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch.distributed as dist


@pytest.fixture
def process_group(tmp_path):
    """A group of this process alone."""
    store = dist.FileStore(str(tmp_path / "store"), 1)
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    dist.destroy_process_group()
