"""Training in several processes: joining them, and what they share.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from speechbrain.utils.distributed import (
    ddp_all_reduce,
    ddp_init_group,
    is_distributed_initialized,
)
from torch import nn
from torch.distributed import ReduceOp
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from speechbrain_neuronprune.errors import TrainingError, in_short


def join_processes(run_opts: Mapping[str, Any]) -> None:
    """Join the other processes that ``torchrun`` has started, if it has.

    Arguments
    ---------
    run_opts : mapping
        The run options; ``distributed_backend`` counts.

    Raises
    ------
    TrainingError
        If the backend does not run here.

    Example
    -------
    >>> join_processes({"distributed_backend": "gloo"})
    >>> process_number(), process_count()
    (0, 1)
    """
    try:
        ddp_init_group(run_opts)
    except ValueError as error:
        raise TrainingError(
            "The processes cannot be joined with "
            f"--distributed_backend={run_opts['distributed_backend']} "
            f"({in_short(error)}); without a GPU for each of them, pass "
            "--distributed_backend=gloo --device=cpu."
        ) from error


def process_number() -> int:
    """The number of this process, from 0; only 0 writes files.

    Returns
    -------
    int
        0 as well where there is one process only.

    Example
    -------
    >>> process_number()
    0
    """
    if not is_distributed_initialized():
        return 0
    return torch.distributed.get_rank()


def process_count() -> int:
    """How many processes there are.

    Returns
    -------
    int
        1 where nothing is distributed.

    Example
    -------
    >>> process_count()
    1
    """
    if not is_distributed_initialized():
        return 1
    return torch.distributed.get_world_size()


def check_batch_norms(model: nn.Module, device: str) -> None:
    """Refuse what SpeechBrain makes of batch norms in several processes: they
    share statistics there, which torch can do on GPUs only.

    Arguments
    ---------
    model : nn.Module
        What is going to be trained.
    device : str
        Where.

    Raises
    ------
    TrainingError
        If there are several processes on CPUs, and batch norms.
    """
    if process_count() == 1 or torch.device(device).type != "cpu":
        return
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm):
            raise TrainingError(
                f"The batch norm {name} cannot be trained in several "
                "processes on CPUs; train in one process, with "
                f"--grad_accumulation_factor={process_count()} for the same "
                "steps, or choose another norm."
            )


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give every process the mean of all processes' gradients.

    Arguments
    ---------
    parameters : iterable of Parameter
        The same in all processes, and in the same order.
    """
    count = process_count()
    if count == 1:
        return
    for parameter in parameters:
        if parameter.grad is not None:
            ddp_all_reduce(parameter.grad, ReduceOp.SUM)
            parameter.grad /= count


def take_from_first(tensors: Iterable[torch.Tensor]) -> None:
    """Give every process the first one's values, in place.

    Arguments
    ---------
    tensors : iterable of torch.Tensor
        The same in all processes, in the same order, without gradients.
    """
    if process_count() > 1:
        for tensor in tensors:
            torch.distributed.broadcast(tensor, src=0)


def unwrapped(module: nn.Module) -> nn.Module:
    """A module without the wrappers that train it in parallel or compile it,
    which change the names of its parts.

    Arguments
    ---------
    module : nn.Module
        Wrapped or not.

    Returns
    -------
    nn.Module
        What is in the wrapper.

    Example
    -------
    >>> unwrapped(nn.Linear(1, 1))
    Linear(in_features=1, out_features=1, bias=True)
    """
    wrappers = (DistributedDataParallel, nn.DataParallel)
    inner = module.module if isinstance(module, wrappers) else module
    return getattr(inner, "_orig_mod", inner)  # what torch.compile was given


def rewrapped(module: nn.Module) -> nn.Module:
    """Wrap a module anew, if it is wrapped.

    The wrapper waits for the gradients of those parameters that learned when
    it was made. Some that learn no more would keep it waiting.

    Arguments
    ---------
    module : nn.Module
        Wrapped or not.

    Returns
    -------
    nn.Module
        The same, wrapped likewise.
    """
    if not isinstance(module, DistributedDataParallel):
        return module
    return DistributedDataParallel(
        module.module,
        device_ids=module.device_ids,
        find_unused_parameters=module.find_unused_parameters,
    )
