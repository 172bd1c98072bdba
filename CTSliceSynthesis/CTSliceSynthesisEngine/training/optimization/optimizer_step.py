"""One step of the optimizer, on any device and with any number of processes."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ...synthesis.devices import choose_precision
from .process_group import World
from .recipe import TrainingRecipe

PRECISIONS = {str(kind).removeprefix("torch."): kind for kind in (torch.float32, torch.bfloat16, torch.float16)}
"""Supported types of convolutions, by name."""


def training_precision(device: torch.device) -> str:
    """Return a name of PRECISIONS: on a CPU, half precision if the processor supports it natively.

    On a GPU bfloat16, or float16 with gradient scaling if the GPU does not support it.
    """
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    return str(choose_precision(device)).removeprefix("torch.")


class ExplosionError(Exception):
    """The loss is not finite, or far above its previous values."""


class Stepper:
    """Computes losses and gradients, and performs steps of Adam.

    Args:
        networks: networks on the world's device.
        recipe: defines losses and learning rates.
        largest_gradient: maximum gradient norm (clipping).
        world: gradients and losses are averaged over its processes.
    """

    def __init__(self, networks: nn.ModuleDict, recipe: TrainingRecipe, largest_gradient: float, world: World) -> None:
        self._networks, self._recipe, self._world, self._largest = networks, recipe, world, largest_gradient
        groups = [{**group, "peak": group["lr"]} for group in recipe.groups(networks)]
        self.optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99))
        self.compute_in("float32")
        self._losses: nn.Module | None = None

    def compute_in(self, precision: str) -> None:
        """Set the precision of convolutions, a name of PRECISIONS, from the next step on; the default is float32."""
        kind, half = self._world.device.type, PRECISIONS[precision]
        self._autocast = torch.autocast(kind, half, enabled=half != torch.float32)
        self._scaler = torch.amp.GradScaler(kind, enabled=half == torch.float16)

    def step(self, batches: list[Any], share: float, rate: float) -> dict[str, float]:
        """Perform one step.

        Args:
            batches: the gradient is averaged over them, and over all processes.
            share: completed fraction of the run.
            rate: factor of the peak learning rates.

        Returns:
            The losses, averaged in the same way.

        Raises:
            ExplosionError: a loss or a gradient is not finite; nothing was changed.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * rate
        losses = self._gradients(batches, share)
        self._scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self._networks.parameters(), self._largest)
        values = self._world.mean(torch.stack([*losses.values()]).float())
        if not values.isfinite().all() or not (norm.isfinite() or self._scaler.is_enabled()):
            raise ExplosionError
        self._scaler.step(self.optimizer)
        self._scaler.update()
        return dict(zip(losses, values.tolist(), strict=True))

    def _gradients(self, batches: list[Any], share: float) -> dict[str, Tensor]:
        """Backpropagate through every batch; return the losses of this process."""
        if self._losses is None:  # after the state was loaded, since this broadcasts the weights of rank 0
            self._losses = self._world.share(_Losses(self._networks, self._recipe, self._world.device))
        self.optimizer.zero_grad(set_to_none=True)
        losses: dict[str, Tensor] = {}
        for number, batch in enumerate(batches, start=1):
            with self._without_sync(number < len(batches)):
                with self._autocast:
                    terms = self._losses(batch, share)
                    total = torch.stack(list(terms.values())).sum() / len(batches)
                self._scaler.scale(total).backward()  # type: ignore[no-untyped-call]
            losses = {name: losses.get(name, 0) + term.detach() / len(batches) for name, term in terms.items()}
        return losses

    def _without_sync(self, more: bool) -> AbstractContextManager[None]:
        """Skip the exchange of gradients while more batches of this step follow."""
        if more and isinstance(self._losses, DistributedDataParallel):
            return self._losses.no_sync()
        return nullcontext()


class _Losses(nn.Module):
    """Module that computes the losses of one batch, so that DistributedDataParallel can average the gradients."""

    def __init__(self, networks: nn.ModuleDict, recipe: TrainingRecipe, device: torch.device) -> None:
        super().__init__()
        self.networks, self._recipe, self._device = networks, recipe, device

    def forward(self, batch: Any, share: float) -> dict[str, Tensor]:
        return self._recipe.losses(self.networks, batch, share, self._device)
