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
"""Types that convolutions may be computed in, by their names."""


def training_precision(device: torch.device) -> str:
    """A name of PRECISIONS: on a CPU, half precision where the processor multiplies in it.

    On a graphics card bfloat16, or where it lacks that float16, whose small gradients are scaled up.
    """
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    return str(choose_precision(device)).removeprefix("torch.")


class ExplosionError(Exception):
    """The loss is no number any more, or far above what it was."""


class Stepper:
    """Losses, gradients, and a step of Adam.

    Args:
        networks: on the world's device.
        recipe: gives the losses and the learning rates.
        largest_gradient: norm that a gradient is cut to.
        world: gradients and losses are means over its processes.
    """

    def __init__(self, networks: nn.ModuleDict, recipe: TrainingRecipe, largest_gradient: float, world: World) -> None:
        self._networks, self._recipe, self._world, self._largest = networks, recipe, world, largest_gradient
        groups = [{**group, "peak": group["lr"]} for group in recipe.groups(networks)]
        self.optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99))
        self.compute_in("float32")
        self._losses: nn.Module | None = None

    def compute_in(self, precision: str) -> None:
        """Convolve in this type, a name of PRECISIONS, from the next step on; float32 before."""
        kind, half = self._world.device.type, PRECISIONS[precision]
        self._autocast = torch.autocast(kind, half, enabled=half != torch.float32)
        self._scaler = torch.amp.GradScaler(kind, enabled=half == torch.float16)

    def step(self, batches: list[Any], share: float, rate: float) -> dict[str, float]:
        """One step.

        Args:
            batches: the gradient is the mean over them, and over all processes.
            share: of the run that is over.
            rate: times the peak learning rates.

        Returns:
            The losses, means likewise.

        Raises:
            ExplosionError: a loss or a gradient is no number; nothing was changed.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * rate
        found = self._gradients(batches, share)
        self._scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self._networks.parameters(), self._largest)
        values = self._world.mean(torch.stack([*found.values()]).float())
        if not values.isfinite().all() or not (norm.isfinite() or self._scaler.is_enabled()):
            raise ExplosionError
        self._scaler.step(self.optimizer)
        self._scaler.update()
        return dict(zip(found, values.tolist(), strict=True))

    def _gradients(self, batches: list[Any], share: float) -> dict[str, Tensor]:
        """Backward through every batch; the losses of this process."""
        if self._losses is None:  # not before the state is loaded: here the processes take over the first one's weights
            self._losses = self._world.share(_Losses(self._networks, self._recipe, self._world.device))
        self.optimizer.zero_grad(set_to_none=True)
        found: dict[str, Tensor] = {}
        for number, batch in enumerate(batches, start=1):
            with self._quiet(number < len(batches)):
                with self._autocast:
                    terms = self._losses(batch, share)
                    total = torch.stack(list(terms.values())).sum() / len(batches)
                self._scaler.scale(total).backward()  # type: ignore[no-untyped-call]
            found = {name: found.get(name, 0) + term.detach() / len(batches) for name, term in terms.items()}
        return found

    def _quiet(self, more: bool) -> AbstractContextManager[None]:
        """While more batches of this step follow, processes need not exchange gradients."""
        if more and isinstance(self._losses, DistributedDataParallel):
            return self._losses.no_sync()
        return nullcontext()


class _Losses(nn.Module):
    """The losses of one batch as a module, so that the gradients of several processes can be averaged."""

    def __init__(self, networks: nn.ModuleDict, recipe: TrainingRecipe, device: torch.device) -> None:
        super().__init__()
        self.networks, self._recipe, self._device = networks, recipe, device

    def forward(self, batch: Any, share: float) -> dict[str, Tensor]:
        return self._recipe.losses(self.networks, batch, share, self._device)
