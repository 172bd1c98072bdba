"""Process group of a training, from torchrun's environment; without torchrun, a world of size one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from ...ranks import rank_and_size

_PATIENCE = timedelta(minutes=30)  # other ranks wait while one converts scans that only it is missing


@dataclass(frozen=True)
class World:
    """The processes that train one model.

    Attributes:
        rank: rank of this process, from 0.
        size: world size.
        device: device of this process.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """True for rank 0, the only process that reports and writes."""
        return self.rank == 0

    def share(self, step: nn.Module) -> nn.Module:
        """Wrap a module so that gradients are averaged over all processes and weights are broadcast from rank 0."""
        if self.size == 1:
            return step
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(step, device_ids=devices, gradient_as_bucket_view=True)

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean over all processes, the same on every rank."""
        if self.size > 1:
            distributed.all_reduce(values)
            values /= self.size
        return values

    def from_first(self, thing: Any) -> Any:
        """Broadcast an object from rank 0."""
        if self.size == 1:
            return thing
        objects = [thing]
        distributed.broadcast_object_list(objects, src=0, device=self.device)
        return objects[0]


@contextmanager
def joined(device: torch.device) -> Iterator[World]:
    """Join the process group started by torchrun, or yield a world of size one.

    Args:
        device: compute device; with several GPUs, each local process uses its own.
    """
    _, size = rank_and_size()
    if size == 1:
        yield World(0, 1, device)
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    store, rank, size = next(iter(rendezvous("env://", timeout=_PATIENCE)))
    distributed.init_process_group(
        backend, store=PrefixStore(_attempt(), store), rank=rank, world_size=size, timeout=_PATIENCE
    )
    try:
        yield World(distributed.get_rank(), distributed.get_world_size(), device)
    finally:
        distributed.destroy_process_group()


def _attempt() -> str:
    """Return a name for this start of the processes, the same on every rank.

    After a restart, torchrun reuses its store, which still contains addresses of dead processes. On one machine the
    restart count distinguishes the attempts. Several machines may count differently: there torchrun has to create a new
    store for each attempt (TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1).
    """
    alone = os.environ.get("GROUP_WORLD_SIZE", "1") == "1"
    return f"attempt_{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0') if alone else 0}"
