"""The dimensions of a model: one frozen value that every room reads.

Sources of the dimensions: the authors' configurations (:mod:`xnorscan.models.published` names them).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

Family = Literal["mamba1", "mamba2", "llama"]


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Dimensions of one language model.

    ``binarized`` says that every linear layer but the head is an FBI-Linear (one-bit weights, α and β per input
    channel). Fields that a family does not have are 0.

    Raises ``ValueError`` at construction, naming the field, where a size is no positive whole number, where sizes do
    not divide, and where ``norm_eps`` is out of range.
    """

    name: str
    family: Family
    binarized: bool
    d_model: int
    layers: int
    vocab_size: int
    tie_embeddings: bool = True
    norm_eps: float = 1e-5
    expand: int = 0
    d_state: int = 0
    d_conv: int = 0
    headdim: int = 0
    ngroups: int = 0
    dt_rank: int = 0
    heads: int = 0
    ffn: int = 0

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if each.type == "int" and type(value) is not int:
                raise ValueError(f"{self.name}: {each.name} is {value!r}, it must be a whole number")
        if not isinstance(self.norm_eps, float) or not 0 <= self.norm_eps < 1:
            raise ValueError(f"{self.name}: norm_eps is {self.norm_eps!r}, it must be a number from 0 to below 1")
        for field in ("d_model", "layers", "vocab_size", *_REQUIRED[self.family]):
            if getattr(self, field) <= 0:
                raise ValueError(f"{self.name}: {field} is {getattr(self, field)}, it must be positive")
        for whole, part in _DIVIDES[self.family]:
            if getattr(self, whole) % getattr(self, part):
                raise ValueError(
                    f"{self.name}: {whole} is {getattr(self, whole)}, "
                    f"it must be a multiple of {part} ({getattr(self, part)})"
                )

    @property
    def d_inner(self) -> int:
        """Channels inside a Mamba block."""
        return self.expand * self.d_model

    @property
    def nheads(self) -> int:
        """Heads of the scan (Mamba-2) or of attention (LLaMA)."""
        return self.d_inner // self.headdim if self.family == "mamba2" else self.heads

    @property
    def conv_dim(self) -> int:
        """Channels that the causal convolution runs over: x, B and C in Mamba-2, x alone in Mamba-1."""
        return self.d_inner + 2 * self.ngroups * self.d_state if self.family == "mamba2" else self.d_inner

    @property
    def d_in_proj(self) -> int:
        """Rows of in_proj: [z | x | B | C | dt] in Mamba-2, [x | z] in Mamba-1."""
        if self.family == "mamba2":
            return 2 * self.d_inner + 2 * self.ngroups * self.d_state + self.nheads
        return 2 * self.d_inner


_REQUIRED: dict[str, tuple[str, ...]] = {
    "mamba1": ("expand", "d_state", "d_conv", "dt_rank"),
    "mamba2": ("expand", "d_state", "d_conv", "headdim", "ngroups"),
    "llama": ("heads", "ffn"),
}
_DIVIDES: dict[str, tuple[tuple[str, str], ...]] = {
    "mamba1": (),
    "mamba2": (("d_inner", "headdim"), ("nheads", "ngroups")),
    "llama": (("d_model", "heads"),),
}
