"""Training the tiny family as the seeds train: a full-precision twin, then a one-bit student distilled from it.

The student starts from the twin's weights (the seeds start from scratch with 1.26 T tokens; we have minutes), its
loss is the cross-entropy against the twin's next-byte distribution (autoregressive distillation, FBI-LLM §3), and its
α⊙x is fake-quantized to int8 by our power-of-two quantizer, so that the integer hardware sees what training saw.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from rich.console import Console
from torch import Tensor

from ..config import ModelConfig
from .corpus import Window, library, library_name, windows
from .network import CHUNK, Carry, FBILinear, Network

Role = Literal["twin", "student"]
CHECKPOINT_EVERY = 200
REPORT_EVERY = 20
HELD_OUT_WINDOWS = 24
"""Batches of held-out text that a checkpoint is measured on."""

LossOf = Callable[[Tensor, Tensor, Carry, Carry], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Recipe:
    """What one training run does; stored beside its result.

    ``matrix_rate`` is the Muon learning rate of the projections (scaled to AdamW's update size), ``vector_rate``
    AdamW's for everything else, ``scale_rate`` AdamW's for α and β. Rates warm up over ``warmup`` steps and fall
    linearly to zero at ``steps``.
    """

    role: Role
    steps: int
    batch: int = 32
    length: int = 256
    seed: int = 0
    matrix_rate: float = 6e-3
    vector_rate: float = 3e-3
    scale_rate: float = 1e-3
    warmup: int = 100
    hard_share: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or self.warmup < 1:
            raise ValueError(f"steps {self.steps}, batch {self.batch} and warmup {self.warmup} must be at least 1")
        if self.length < 1 or self.length % CHUNK:
            raise ValueError(f"length is {self.length}, it must be a multiple of {CHUNK}, the chunk of the scan")


def train(config: ModelConfig, recipe: Recipe, directory: Path, teacher: Path | None = None) -> Path:
    """Run ``recipe`` and return the final checkpoint, ``directory/<role>.pt``.

    A run that was interrupted goes on from its last checkpoint (every 200 steps) with the same bytes it would have
    seen. ``directory/<role>.jsonl`` holds the loss curve in bits per byte.

    Raises ``ValueError`` for a student without a teacher and where ``directory`` holds a run of another recipe.
    """
    if (recipe.role == "student") != (teacher is not None):
        raise ValueError(f"role {recipe.role}: a student needs the twin's checkpoint and a twin takes none")
    torch.manual_seed(recipe.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net = Network(config)
    twin = _load_twin(config, teacher) if teacher else None
    if twin:
        _start_from_twin(net, twin)
        twin.to(device)
    net.to(device)
    run = _Run(net, twin, recipe, directory, device)
    run.resume()
    return run.finish()


def _load_twin(config: ModelConfig, path: Path) -> Network:
    twin = Network(replace(config, binarized=False))
    twin.load_state_dict(torch.load(path, weights_only=True)["model"])
    return twin.requires_grad_(False)


def _start_from_twin(net: Network, twin: Network) -> None:
    state = twin.state_dict()
    net.load_state_dict({k: v for k, v in state.items() if "_proj." not in k}, strict=False)
    for name, module in net.named_modules():
        if isinstance(module, FBILinear):
            module.init_from(state[f"{name}.weight"])
            module.quantize_activations = True


class _Run:
    """The state of one training run: model, optimizers, position in the text, what the rows carry, curve."""

    def __init__(
        self, net: Network, twin: Network | None, recipe: Recipe, directory: Path, device: torch.device
    ) -> None:
        self.net, self.twin, self.recipe, self.device = net, twin, recipe, device
        self.path = directory / f"{recipe.role}.pt"
        self.curve = directory / f"{recipe.role}.jsonl"
        directory.mkdir(parents=True, exist_ok=True)
        matrices, scales, vectors = _groups(net)
        self.optimizers = [
            torch.optim.Muon(matrices, lr=recipe.matrix_rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(
                [{"params": vectors, "lr": recipe.vector_rate}, {"params": scales, "lr": recipe.scale_rate}],
                betas=(0.9, 0.98),
                weight_decay=0.0,
            ),
        ]
        self.schedule = [torch.optim.lr_scheduler.LambdaLR(o, self._rate) for o in self.optimizers]
        self.carry, self.twin_carry = self._zeros(), self._zeros()
        self.step = 0
        self.row: dict[str, float | None] = {}

    def _zeros(self) -> Carry:
        return Carry.zeros(self.net.config, self.recipe.batch, self.device)

    def _rate(self, step: int) -> float:
        return min((step + 1) / self.recipe.warmup, max(0.0, 1 - step / self.recipe.steps))

    def _identity(self) -> dict[str, Any]:
        return {"recipe": asdict(self.recipe), "config": asdict(self.net.config)}

    def resume(self) -> None:
        """Go on from the last checkpoint, if there is one; the curve loses what came after it."""
        if not self.path.exists():
            self.curve.unlink(missing_ok=True)
            return
        saved = torch.load(self.path, weights_only=True)
        if saved["identity"] != self._identity():
            raise ValueError(f"{self.path} is a run of another recipe; go on with that one or use another folder")
        self.net.load_state_dict(saved["model"])
        for part, state in zip(self.optimizers + self.schedule, saved["optimizers"], strict=True):
            part.load_state_dict(state)
        self.carry, self.twin_carry = (Carry(**saved[name]) for name in ("carry", "twin_carry"))
        self.step, self.row = saved["step"], saved["row"]
        lines = self.curve.read_text().splitlines()
        self.curve.write_text("".join(f"{line}\n" for line in lines if json.loads(line)["step"] <= self.step))

    def save(self) -> None:
        """Write a checkpoint from which ``resume`` goes on; all or nothing."""
        content = {
            "identity": self._identity(),
            "model": self.net.state_dict(),
            "optimizers": [part.state_dict() for part in self.optimizers + self.schedule],
            "carry": vars(self.carry),
            "twin_carry": vars(self.twin_carry),
            "step": self.step,
            "row": self.row,
        }
        torch.save(content, self.path.with_suffix(".tmp"))
        os.replace(self.path.with_suffix(".tmp"), self.path)

    def finish(self) -> Path:
        """Train to the last step; returns the checkpoint."""
        r = self.recipe
        stream = windows(library("train"), r.batch, r.length, r.seed)
        check = windows(library("held-out"), r.batch, r.length, r.seed)
        held = [next(check) for _ in range(HELD_OUT_WINDOWS)]
        loss_of = torch.compile(self._loss)
        for _ in range(self.step):
            next(stream)
        began, first, held_out_bits = time.monotonic(), self.step, self.row.get("held_out_bits_per_byte")
        while self.step < r.steps:
            bits = self._train_on(next(stream), loss_of)
            checkpoint = self.step % CHECKPOINT_EVERY == 0 or self.step == r.steps
            if checkpoint:
                held_out_bits = self._held_out(loss_of, held)
            if checkpoint or self.step % REPORT_EVERY == 0:
                rate = (self.step - first) * r.batch * r.length / (time.monotonic() - began)
                self._report({"bits_per_byte": bits, "held_out_bits_per_byte": held_out_bits, "bytes_per_s": rate})
            if checkpoint:
                self.save()
        done = {"recipe": asdict(r), "library": library_name(), "torch": torch.__version__, **self.row}
        self.path.with_suffix(".json").write_text(json.dumps(done, indent=1) + "\n")
        return self.path

    def _train_on(self, window: Window, loss_of: LossOf) -> float:
        begins = torch.from_numpy(window.begins)
        self.carry.reset(begins)
        self.twin_carry.reset(begins)
        ids, targets = torch.from_numpy(window.ids), torch.from_numpy(window.targets)
        loss, bits = loss_of(ids, targets, self.carry, self.twin_carry)
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        for schedule in self.schedule:
            schedule.step()
        self.step += 1
        return float(bits)

    def _loss(self, ids: Tensor, targets: Tensor, carry: Carry, twin_carry: Carry) -> tuple[Tensor, Tensor]:
        ids, targets = ids.to(self.device), targets.to(self.device)
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            logits, carry.tails, carry.states = self.net(ids, carry.tails, carry.states)
        logits = logits.float()
        hard = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        bits = hard.detach() / math.log(2)
        if self.twin is None:
            return hard, bits
        with torch.no_grad(), torch.autocast(self.device.type, dtype=torch.bfloat16):
            soft, twin_carry.tails, twin_carry.states = self.twin(ids, twin_carry.tails, twin_carry.states)
        real = (targets >= 0).float()
        distance = -(F.softmax(soft.float(), -1) * F.log_softmax(logits, -1)).sum(-1)
        distilled = (distance * real).sum() / real.sum()
        share = self.recipe.hard_share
        return share * hard + (1 - share) * distilled, bits

    @torch.no_grad()
    def _held_out(self, loss_of: LossOf, held: list[Window]) -> float:
        carry, twin_carry = self._zeros(), self._zeros()
        total, count = 0.0, 0
        for window in held:
            carry.reset(torch.from_numpy(window.begins))
            _, bits = loss_of(torch.from_numpy(window.ids), torch.from_numpy(window.targets), carry, twin_carry)
            real = int((window.targets >= 0).sum())
            total, count = total + float(bits) * real, count + real
        return total / count

    def _report(self, figures: dict[str, float | None]) -> None:
        self.row = {"step": self.step, **figures}
        with self.curve.open("a") as f:
            f.write(json.dumps(self.row) + "\n")
        r, rate = self.recipe, figures["bytes_per_s"] or 1.0
        held = figures["held_out_bits_per_byte"]
        Console().print(
            f"{r.role} {self.step}/{r.steps}  {figures['bits_per_byte']:.3f} bits/byte  "
            f"held out {'–' if held is None else f'{held:.3f}'}  {rate:,.0f} bytes/s  "
            f"{(r.steps - self.step) * r.batch * r.length / rate / 60:.0f} min left"
        )


def _groups(net: Network) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    matrices, scales, vectors = [], [], []
    for name, p in net.named_parameters():
        if name.endswith(("in_proj.weight", "out_proj.weight")):
            matrices.append(p)
        elif name.endswith(("wscale", "wbias")):
            scales.append(p)
        else:
            vectors.append(p)
    return matrices, scales, vectors
