"""Running something in several processes, as ``torchrun`` does.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import multiprocessing
import os
import socket

import torch
from torch.multiprocessing import start_processes

# What every process needs is imported once, in a server that forks them.
multiprocessing.set_forkserver_preload(["tests.distributed.runs"])


def in_processes(folder, function, *arguments, count=2):
    """Call a function in several processes; return what each returned. If
    one fails, the others are ended."""
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    start_processes(
        _enter,
        (function, count, port, folder, arguments),
        count,
        start_method="forkserver",
    )
    return [
        torch.load(folder / f"{rank}.pt", weights_only=False)
        for rank in range(count)
    ]


def _enter(rank, function, count, port, folder, arguments):
    torch.set_num_threads(1)
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(count),
        MASTER_ADDR="localhost",
        MASTER_PORT=str(port),
    )
    torch.save(function(*arguments), folder / f"{rank}.pt")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
