"""The recorded trace: row for row the shape-only one, with statistics that a recomputation confirms."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from oracles.random_models import random_packed_model, tiny_config
from xnorscan.models.config import ModelConfig
from xnorscan.models.operations import shape_trace
from xnorscan.models.packed import PackedModel
from xnorscan.models.precision import Precision
from xnorscan.models.published import get_config
from xnorscan.sim import layers
from xnorscan.sim.prepare import BinaryLinear
from xnorscan.sim.record import Recorder
from xnorscan.sim.run import Simulator
from xnorscan.traces.trace import STATISTICS, Trace

CONFIGS = {
    "tiny": get_config("tiny"),
    "mamba1": tiny_config("mamba1"),
    "mamba1, int8": tiny_config("mamba1", binarized=False),
    "mamba2": tiny_config("mamba2"),
    "mamba2, int8": tiny_config("mamba2", binarized=False),
    "mamba2, two groups": tiny_config("mamba2", ngroups=2),
}
PRECISIONS = [Precision(), Precision(head="binary", state_bits=12, quantizer="absmax")]


@cache
def packed(name: str) -> PackedModel:
    return random_packed_model(CONFIGS[name], 130)


def ids_of(config: ModelConfig, sequences: int, length: int) -> np.ndarray:
    return np.random.default_rng(131).integers(0, config.vocab_size, (sequences, length))


def assert_same_rows(recorded: Trace, shape_only: Trace) -> None:
    """Every column but the statistics, every row, in order."""
    columns = [name for name in shape_only.ops.columns if name not in STATISTICS]
    assert recorded.ops[columns].to_dict("records") == shape_only.ops[columns].to_dict("records")
    assert recorded.metadata.model == shape_only.metadata.model
    assert recorded.metadata.phase == shape_only.metadata.phase
    assert recorded.metadata.batch == shape_only.metadata.batch
    assert recorded.metadata.precision == shape_only.metadata.precision
    assert recorded.metadata.recorded
    assert not shape_only.metadata.recorded


@pytest.mark.parametrize("name", list(CONFIGS))
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("batch", [1, 2])
def test_a_run_leaves_the_rows_of_the_shape_trace(name: str, precision: Precision, batch: int) -> None:
    """Prefill with all logits and with the last ones, decode, and a whole run of a prefill and three decodes."""
    config, run = CONFIGS[name], Simulator(packed(name), precision)
    ids = ids_of(config, batch, 7)
    same = {"batch": batch, "precision": precision}

    for last_only, logits in ((False, "all"), (True, "last")):
        recorder, state = run.recorder(), run.new_state(batch)
        run.step(ids, state, recorder, last_only=last_only)
        expected = shape_trace(config, phase="prefill", length=7, logits=logits, **same)
        assert_same_rows(recorder.trace("prefill", 7, 0), expected)

    decode = run.recorder()
    run.step(ids[:, :1], state, decode)
    assert_same_rows(decode.trace("decode", 7, 1), shape_trace(config, phase="decode", length=7, **same))

    for t in range(2):
        run.step(ids[:, t : t + 1], state, recorder, last_only=True)
    run.step(ids[:, :1], state, recorder)
    expected = shape_trace(config, phase="run", length=7, new_tokens=3, **same)
    assert_same_rows(recorder.trace("run", 7, 3), expected)


def test_one_recorder_keeps_steps_of_one_size_apart() -> None:
    """All logits and the last ones of equally many tokens are different rows."""
    run = Simulator(packed("mamba2"))
    recorder, state, ids = run.recorder(), run.new_state(), ids_of(CONFIGS["mamba2"], 1, 5)
    for last_only in (True, False, True):
        run.step(ids, state, recorder, last_only=last_only)
    heads = recorder.trace("prefill", 15, 0).ops.query("name == 'lm_head'")
    assert heads["tokens"].tolist() == [1, 5, 1]
    assert heads["step"].tolist() == [0, 1, 2]


def test_longer_runs_keep_every_row() -> None:
    """More rows than the recorder first has room for: the same statistics as each step alone gives."""
    run = Simulator(packed("mamba2"))
    ids = ids_of(CONFIGS["mamba2"], 1, 60)
    together, state, alone_state = run.recorder(), run.new_state(), run.new_state()
    rows = []
    for t in range(60):
        run.step(ids[:, t : t + 1], state, together)
        alone = run.recorder()
        run.step(ids[:, t : t + 1], alone_state, alone)
        rows += alone.trace("decode", t, 1).ops.assign(step=t).to_dict("records")
    whole = together.trace("run", 0, 60).ops
    assert len(whole) > 512
    assert whole.to_dict("records") == rows


class Spy(Recorder):
    """A recorder that keeps the quantized inputs of every linear."""

    seen: list[np.ndarray]

    def pack(self, q: np.ndarray) -> np.ndarray:
        self.seen.append(q.copy())
        return super().pack(q)


@pytest.mark.parametrize("name", ["tiny", "mamba1", "mamba2, int8"])
def test_statistics_are_those_of_the_data(name: str) -> None:
    """Density, toggle rate and greatest magnitude of every linear, from unpacked bits."""
    run = Simulator(packed(name))
    spy = Spy(run.model)
    spy.seen = []
    run.step(ids_of(CONFIGS[name], 2, 5), run.new_state(2), spy)
    ops = spy.trace("prefill", 5, 0).ops
    linears = ops[ops["kind"] == "linear"]
    assert len(linears) == len(spy.seen)
    for row, q in zip(linears.itertuples(), spy.seen, strict=True):
        bits = (q[:, None, :].astype(np.int64) >> np.arange(8)[:, None]) & 1
        assert row.density == pytest.approx(bits.mean((0, 2)))
        words = np.pad(bits, ((0, 0), (0, 0), (0, -q.shape[1] % 64))).reshape(len(q), 8, -1, 64)
        changes = np.abs(np.diff(words, axis=2))
        expected = changes.mean((0, 2, 3)) if changes.size else np.zeros(8)
        assert row.toggle == pytest.approx(expected)
        assert row.max_abs == np.abs(q.astype(int)).max()
    others = ops[ops["kind"] != "linear"]
    assert others["density"].isna().all()
    assert others["toggle"].isna().all()
    assert others["max_abs"].isna().all()
    assert ops["saturations"].notna().all()


class Deaf(Recorder):
    """A recorder that is not told what the residual clipped."""

    def clipped(self, count: int) -> None:
        pass


def test_saturations_are_counted_where_they_happen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scales too great by far clip in_proj; what the residual's addition clips belongs to out_proj."""
    run = Simulator(packed("mamba2"))
    layer = run.model.layers[0]
    assert isinstance(layer.in_proj, BinaryLinear)
    assert isinstance(layer.out_proj, BinaryLinear)
    for linear, lower in ((layer.in_proj, 10), (layer.out_proj, 14)):
        object.__setattr__(linear.alpha, "exponent", linear.alpha.exponent - lower)
    added: list[int] = []
    original = layers.add_residual

    def add(residual: np.ndarray, x: np.ndarray, greatest: int) -> int:
        total = residual.astype(np.int64) + x
        added.append(int(((total > greatest) | (total < -greatest - 1)).sum()))
        return original(residual, x, greatest)

    monkeypatch.setattr(layers, "add_residual", add)
    counted = []
    for recorder in (Recorder(run.model), Deaf(run.model)):
        run.step(ids_of(CONFIGS["mamba2"], 1, 20), run.new_state(), recorder)
        counted.append(recorder.trace("prefill", 20, 0).ops.set_index(["layer", "name"])["saturations"])
    assert added[0] > 0
    assert (counted[0] - counted[1])[0, "out_proj"] == added[0]
    assert (counted[0] - counted[1]).sum() == sum(added[: len(added) // 2])
    assert counted[0][0, "in_proj"] > 100
    assert counted[0][0, "norm"] == 0


def test_recording_changes_no_bit() -> None:
    run = Simulator(packed("tiny"))
    ids = ids_of(CONFIGS["tiny"], 2, 6)
    recorded, plain = run.new_state(2), run.new_state(2)
    logits = run.step(ids, recorded, run.recorder())
    assert run.step(ids, plain, run.recorder(enabled=False)).tolist() == logits.tolist()
    assert [m.scan.tolist() for m in recorded] == [m.scan.tolist() for m in plain]


def test_a_recorder_that_is_off_has_no_trace() -> None:
    run = Simulator(packed("mamba2"))
    recorder = run.recorder(enabled=False)
    run.step(ids_of(CONFIGS["mamba2"], 1, 2), run.new_state(), recorder)
    with pytest.raises(ValueError, match=r"^nothing was recorded: run a step with this recorder"):
        recorder.trace("prefill", 2, 0)


def test_generate_records_a_run() -> None:
    run = Simulator(packed("tiny"))
    recorder = run.recorder()
    list(run.generate(b"abc", 4, recorder=recorder))
    assert_same_rows(recorder.trace("run", 4, 3), shape_trace(CONFIGS["tiny"], phase="run", length=4, new_tokens=3))
