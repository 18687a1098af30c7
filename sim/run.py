"""Running a model: text in, bits per byte, text or a trace out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ..models.packed import PackedModel
from ..models.precision import Precision
from ..traces.trace import Trace
from .formats import LOGIT
from .layers import apply_embedding, apply_head, apply_layer
from .prepare import prepare
from .record import Recorder
from .sampling import greedy, top_k
from .state import State, zero_state

BEGIN = 0
"""The byte that stands before every text of the byte-level models."""


@dataclass(frozen=True)
class Evaluation:
    """How well and how fast a model read a text. ``trace`` is ``None`` where recording was off."""

    bits_per_byte: float
    tokens: int
    seconds: float
    trace: Trace | None


class Simulator:
    """A model as the hardware runs it: integers only, one operation after the other.

    ``model`` is converted to integers once. The simulator itself holds no sequence: ``step`` takes and updates a state.

    Raises ``ValueError`` for a model family that it does not run.
    """

    def __init__(self, model: PackedModel, precision: Precision | None = None) -> None:
        self.model = prepare(model, precision or Precision())
        self.config = model.config

    def new_state(self, sequences: int = 1) -> State:
        """The state before the first token."""
        return zero_state(self.config, sequences)

    def recorder(self, enabled: bool = True) -> Recorder:
        """A recorder for calls of ``step``."""
        return Recorder(self.model, enabled)

    def step(
        self, ids: np.ndarray, state: State, recorder: Recorder | None = None, *, last_only: bool = False
    ) -> np.ndarray:
        """Run ``ids`` int [sequences, length] after what ``state`` has seen; ``state`` is updated in place.

        Returns logits int32 [sequences, length, vocab] in the format ``LOGIT`` (length 1 with ``last_only``: the head
        then runs for the last token alone). A prefill, a decode step and any split of a text into calls give the same
        integers.

        Raises ``ValueError`` where an id is outside the vocabulary or the state is of another number of sequences.
        """
        ids = np.array(ids, np.int64, order="C")
        if ids.ndim != 2 or not ids.size:
            raise ValueError(
                f"ids have shape {list(ids.shape)}, they must be [sequences, length] with at least one token"
            )
        if ids.min() < 0 or ids.max() >= self.config.vocab_size:
            wrong = ids.min() if ids.min() < 0 else ids.max()
            raise ValueError(
                f"token id {wrong} is outside the vocabulary of {self.config.name}: 0 to {self.config.vocab_size - 1}"
            )
        held = state[0].scan.shape[0]
        if held != ids.shape[0]:
            raise ValueError(f"the state holds {held} sequences, ids have {ids.shape[0]}; make it with new_state")
        recorder = recorder or self.recorder(enabled=False)
        recorder.begin_step(ids.shape[0], ids.size, last_only)
        residual = apply_embedding(self.model, ids.reshape(-1), recorder)
        for index, (layer, memory) in enumerate(zip(self.model.layers, state, strict=True)):
            apply_layer(self.model, layer, residual, memory, recorder, index)
        if last_only:
            residual = np.ascontiguousarray(residual.reshape(*ids.shape, -1)[:, -1])
        logits = apply_head(self.model, residual, recorder)
        return logits.reshape(ids.shape[0], -1, logits.shape[1])

    def evaluate(
        self, text: bytes, *, record: bool = True, chunk: int = 512, progress: Callable[[int], None] | None = None
    ) -> Evaluation:
        """Bits per byte of ``text``, read from its first byte on; ``progress`` is told the bytes done after each chunk.

        The mean of −log2 of the probability that the model gave to each byte; the probabilities are taken from the
        integer logits in float64 (measuring is not part of the hardware).

        Raises ``ValueError`` for an empty text or a model that does not read bytes.
        """
        self._check_bytes()
        if not text:
            raise ValueError("the text is empty, there is nothing to measure")
        data = np.frombuffer(text, np.uint8).astype(np.int64)
        ids = np.concatenate(([BEGIN], data[:-1]))
        state, recorder = self.new_state(), self.recorder(record)
        bits, began = 0.0, time.perf_counter()
        for start in range(0, ids.size, chunk):
            logits = self.step(ids[None, start : start + chunk], state, recorder)[0]
            bits += code_length(logits, data[start : start + chunk])
            if progress:
                progress(min(start + chunk, ids.size))
        seconds = time.perf_counter() - began
        trace = recorder.trace("prefill", prompt_length=ids.size, new_tokens=0) if record else None
        return Evaluation(bits / data.size, data.size, seconds, trace)

    def generate(
        self,
        prompt: bytes,
        tokens: int,
        *,
        top_k: int = 0,
        seed: int = 0,
        temperature: float = 1.0,
        recorder: Recorder | None = None,
    ) -> Iterator[bytes]:
        """Continue ``prompt`` by ``tokens`` bytes, one at a time. ``top_k`` 0 is greedy.

        Raises ``ValueError`` for a model that does not read bytes or a wrong ``top_k`` or ``temperature``.
        """
        self._check_bytes()
        choose = _chooser(top_k, temperature, seed)
        state = self.new_state()
        ids = np.frombuffer(bytes([BEGIN]) + prompt, np.uint8).astype(np.int64)
        for _ in range(tokens):
            logits = self.step(ids[None], state, recorder, last_only=True)
            chosen = choose(logits[0, -1])
            yield bytes([chosen])
            ids = np.array([chosen])

    def _check_bytes(self) -> None:
        if self.config.vocab_size != 256:
            raise ValueError(
                f"{self.config.name} has a vocabulary of {self.config.vocab_size} tokens and no tokenizer here; "
                "text needs a byte-level model (256)"
            )


def _chooser(k: int, temperature: float, seed: int) -> Callable[[np.ndarray], int]:
    if k == 0:
        return greedy
    rng = np.random.default_rng(seed)
    return lambda logits: top_k(logits, k, temperature, rng)


def code_length(logits: np.ndarray, targets: np.ndarray) -> float:
    """Bits that ``targets`` int [tokens] cost under ``logits`` int32 [tokens, vocab] (``LOGIT``)."""
    scaled = logits * LOGIT.ulp
    scaled -= scaled.max(1, keepdims=True)
    chosen = scaled[np.arange(targets.size), targets]
    return float((np.log(np.exp(scaled).sum(1)) - chosen).sum() / math.log(2))
