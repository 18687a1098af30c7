"""The linear layers of a model: name, shape and whether the weights are one bit."""

from __future__ import annotations

from dataclasses import dataclass

from .config import ModelConfig


@dataclass(frozen=True)
class Linear:
    """A weight of ``outputs`` rows and ``inputs`` columns; ``binarized``: an FBI-Linear, α and β per input channel."""

    name: str
    outputs: int
    inputs: int
    binarized: bool

    @property
    def weights(self) -> int:
        """Elements of the matrix."""
        return self.outputs * self.inputs


def layer_linears(config: ModelConfig) -> tuple[Linear, ...]:
    """The linears of one layer, in the order in which they run.

    In a binarized model every one is an FBI-Linear but Mamba-1's x_proj and dt_proj: no one-bit Mamba-1 is published,
    and those two, about 5 % of the weights, set the selection of the scan, so they stay int8 here (our choice).
    """
    d, one_bit = config.d_model, config.binarized
    if config.family == "mamba2":
        return (
            Linear("in_proj", config.d_in_proj, d, one_bit),
            Linear("out_proj", d, config.d_inner, one_bit),
        )
    if config.family == "mamba1":
        return (
            Linear("in_proj", config.d_in_proj, d, one_bit),
            Linear("x_proj", config.dt_rank + 2 * config.d_state, config.d_inner, False),
            Linear("dt_proj", config.d_inner, config.dt_rank, False),
            Linear("out_proj", d, config.d_inner, one_bit),
        )
    attention = tuple(Linear(name, d, d, one_bit) for name in ("q_proj", "k_proj", "v_proj", "o_proj"))
    feed_forward = (
        Linear("gate_proj", config.ffn, d, one_bit),
        Linear("up_proj", config.ffn, d, one_bit),
        Linear("down_proj", d, config.ffn, one_bit),
    )
    return attention + feed_forward


def head_linear(config: ModelConfig) -> Linear:
    """The head: logits of the whole vocabulary. Never an FBI-Linear; tied to the embedding where the model ties it."""
    return Linear("lm_head", config.vocab_size, config.d_model, False)
