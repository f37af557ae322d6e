"""One optimization step on images that live on the device.

Nothing here makes the host wait: the batch is gathered by index from the resident uint8 images, losses
are added up on the device, and on CUDA the whole step (gather, noise, forward, backward, Adam) is
captured once as a graph and replayed.

Where a step is compiled, loss and gradients are one compiled function. In bf16 on the CPU the networks then
compute with bfloat16 copies of their weights, which the optimizer keeps (:mod:`vaebench.cpu.adam`); on
CUDA, where casting costs little, and in steps that are not compiled, autocast casts the weights.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.conv import _ConvNd

from vaebench.base.compiled import Compiled
from vaebench.cpu.adam import CopyingAdam
from vaebench.cpu.processor import keep_freed_memory, keep_triton_out
from vaebench.model.posteriors.base import Latent
from vaebench.model.vae import VAE, Losses
from vaebench.study.params import Training

__all__ = ["Step"]


class Step:
    """Callable on ``rows`` (batch_size,), the indices of a batch; updates the model in place.

    Args:
        model: on ``images.device``.
        images: (N, C, H, W) as stored, resident on the device.
        settings: learning rate and precision.
        compiled: True compiles loss and gradients by torch.compile, where this machine can.
        say: called with a line where it cannot.

    Attributes:
        sums: (4,) float64, the sums over steps of total loss, reconstruction, regularization and the
            adversary's loss since they were last set to zero.
    """

    def __init__(
        self,
        model: VAE,
        images: Tensor,
        settings: Training,
        compiled: bool,
        say: Callable[[str], None] = print,
    ):
        self.model, self.images, self.settings = model, images, settings
        device, self._bf16 = images.device, settings.precision == "bf16"
        if device.type == "cpu":
            keep_freed_memory()
            if compiled:
                keep_triton_out()
        adversary = model.regularizer.adversary
        opponent = list(adversary.parameters()) if adversary is not None else []
        # A module that is made inside a compiled function splits it into several.
        self._objective = _Objective(model)
        named = {n: p for n, p in self._objective.named_parameters() if all(p is not o for o in opponent)}

        self._copied = compiled and self._bf16 and device.type == "cpu"
        if self._copied:
            self.optimizer = CopyingAdam(named.values(), _computing(model), settings.learning_rate)
            self._weights = dict(zip(named, self.optimizer.copies, strict=True))
        else:
            self.optimizer = _adam(named.values(), settings.learning_rate, device)
            self._weights = named
        self.adversary_optimizer = None
        if adversary is not None:
            self.adversary_optimizer = _adam(opponent, model.regularizer.adversary_learning_rate, device)

        self.sums = torch.zeros(4, dtype=torch.float64, device=device)
        self._gradients = Compiled(self._differentiate, say) if compiled else self._differentiate
        self._captures = device.type == "cuda" and not model.likelihood.synchronizes
        self._graph: Any = None
        if self._captures:
            self._rows = torch.zeros(settings.batch_size, dtype=torch.long, device=device)

    def __call__(self, rows: Tensor) -> None:
        """Take a step on ``images[rows]``."""
        if not self._captures:
            self._take(rows)
            return
        if self._graph is None:
            self._capture(rows)
        self._rows.copy_(rows)
        self._graph.replay()

    def _take(self, rows: Tensor) -> None:
        x = self.model.value_range.to_model(self.images[rows]).contiguous(memory_format=torch.channels_last)
        losses, gradients, latent = self._gradients(self._weights, x)
        self.sums[:3] += losses
        if self._copied:
            self.optimizer.step(gradients)
        else:
            for weight, gradient in zip(self._weights.values(), gradients, strict=True):
                weight.grad = gradient
            self.optimizer.step()
            self.optimizer.zero_grad()
        if self.adversary_optimizer is not None:
            loss = self.model.regularizer.adversary_loss(latent)
            loss.backward()
            self.adversary_optimizer.step()
            self.adversary_optimizer.zero_grad()
            self.sums[3] += loss.detach()

    def _differentiate(
        self, weights: dict[str, Tensor], x: Tensor
    ) -> tuple[Tensor, Sequence[Tensor], Latent]:
        """Total loss, reconstruction and regularization (3,), the total's gradients, and the latents."""
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self._bf16):
            losses = functional_call(self._objective, weights, (x,)) if self._copied else self._objective(x)
        gradients = torch.autograd.grad(losses.total, list(weights.values()), materialize_grads=True)
        parts = torch.stack([losses.total, losses.reconstruction, losses.regularization])
        return parts.detach(), gradients, losses.latent.detach()

    def _capture(self, rows: Tensor) -> None:
        """Warm up on a side stream, put back what the warm-up changed, then record the graph."""
        self._rows.copy_(rows)
        before = {k: v.clone() for k, v in self.model.state_dict().items()}
        sums, random = self.sums.clone(), torch.cuda.get_rng_state(self.images.device)
        fresh = not self.optimizer.state
        optimizers = self._copy_of_optimizers()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self._take(self._rows)
        torch.cuda.current_stream().wait_stream(side)
        with torch.no_grad():
            for key, value in self.model.state_dict().items():
                value.copy_(before[key])
        self._put_back_optimizers(optimizers, fresh)
        torch.cuda.set_rng_state(random, self.images.device)
        self.sums.copy_(sums)
        self._graph = torch.cuda.CUDAGraph()
        with _uncollected(), torch.cuda.graph(self._graph):
            self._take(self._rows)

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        return [o for o in (self.optimizer, self.adversary_optimizer) if o is not None]

    def _copy_of_optimizers(self) -> list[dict]:
        return [
            {p: {k: v.clone() for k, v in s.items()} for p, s in o.state.items()} for o in self._optimizers()
        ]

    def _put_back_optimizers(self, copies: list[dict], fresh: bool) -> None:
        for optimizer, copy in zip(self._optimizers(), copies, strict=True):
            for parameter, state in optimizer.state.items():
                for key, value in state.items():
                    value.zero_() if fresh else value.copy_(copy[parameter][key])

    def state_dict(self) -> dict:
        """The optimizers' state and the running sums."""
        return {"optimizers": [o.state_dict() for o in self._optimizers()], "sums": self.sums}

    def load_state_dict(self, state: dict) -> None:
        """Restore the result of :meth:`state_dict`."""
        for optimizer, saved in zip(self._optimizers(), state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
            for group in optimizer.param_groups:
                if isinstance(group["lr"], Tensor):  # from the CPU a graph would read it once
                    group["lr"] = group["lr"].to(self.images.device)
        self.sums.copy_(state["sums"])


@contextmanager
def _uncollected() -> Iterator[None]:
    """Nothing is collected inside: a graph that is, while another is captured, spoils that one."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Objective(nn.Module):
    """The model's objective in the form that ``functional_call`` calls."""

    def __init__(self, model: VAE):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Losses:
        return self.model.loss(x)


def _adam(weights: Iterable[Tensor], rate: float, device: torch.device) -> torch.optim.Adam:
    options = {"fused": True} | ({"capturable": True} if device.type == "cuda" else {})
    return torch.optim.Adam(weights, lr=torch.tensor(rate, device=device), **options)


def _computing(model: VAE) -> set[nn.Parameter]:
    """The weights that autocast would cast: those of convolutions and matrix products."""
    networks = [*model.encoder.modules(), *model.decoder.modules()]
    return {p for m in networks if isinstance(m, (nn.Linear, _ConvNd)) for p in m.parameters(recurse=False)}
