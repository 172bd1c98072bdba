"""Who trains together: read once from torchrun's environment. Alone, it is a world of one."""

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

_PATIENCE = timedelta(minutes=30)  # the others wait while one process converts scans that it alone lacks


@dataclass(frozen=True)
class World:
    """The processes that train one model.

    Attributes:
        rank: number of this process, from 0 on.
        size: how many there are.
        device: where this one computes.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """True for the one process that speaks and writes."""
        return self.rank == 0

    def share(self, step: nn.Module) -> nn.Module:
        """The module whose gradients are the mean over all processes, and whose weights are those of the first."""
        if self.size == 1:
            return step
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(step, device_ids=devices, gradient_as_bucket_view=True)

    def mean(self, values: Tensor) -> Tensor:
        """Mean over all processes, the same everywhere."""
        if self.size > 1:
            distributed.all_reduce(values)
            values /= self.size
        return values

    def from_first(self, thing: Any) -> Any:
        """What the first process has, for all."""
        if self.size == 1:
            return thing
        box = [thing]
        distributed.broadcast_object_list(box, src=0, device=self.device)
        return box[0]


@contextmanager
def joined(device: torch.device) -> Iterator[World]:
    """The world that torchrun has started, or a world of one.

    Args:
        device: where to compute; of several graphics cards, each process of a machine takes its own.
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
    """A name for this start of the processes, the same in all of them.

    After a restart, torchrun offers the same store again, in which addresses of dead processes are left. On one machine
    the number of restarts tells the attempts apart. Several machines may count differently: there torchrun has to make a
    new store for each attempt (TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1).
    """
    alone = os.environ.get("GROUP_WORLD_SIZE", "1") == "1"
    return f"attempt_{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0') if alone else 0}"
