"""The cocotb tests of ``FbiLinear``: one per script of the golden data that ``BENCH_DATA`` names.

A script is what software does at the AXI faces, operation after operation; every result, response and counter must be
the golden one. The counters that a script reports are left in ``counters.json`` in the current folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles

from .axi import OKAY, SLVERR, AxiLite, axi_channel
from .streams import Sink, Source, reset, run, start_clock

PATIENCE = 1000
"""Reads of a register that does not become what a script awaits."""
SPARE = 64
"""Cycles after a script in which a result too many would come."""

reported: dict[str, dict[str, int]] = {}


class Golden:
    """The golden data of a file: ``sizes`` of the engine, ``scripts`` by name."""

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as file:
            self._arrays = dict(file)
        described = json.loads(str(self._arrays["description"]))
        self.sizes: dict[str, int] = described["sizes"]
        self.scripts: dict[str, dict[str, Any]] = described["scripts"]

    def part(self, script: str, name: str, span: Sequence[int]) -> np.ndarray:
        """The items of an array of a script."""
        return self._arrays[f"{self.scripts[script]['number']}/{name}"][slice(*span)]


golden = Golden(Path(os.environ["BENCH_DATA"]))


@cocotb.test()
@cocotb.parametrize(name=list(golden.scripts))
async def scripts(dut: Any, name: str) -> None:
    """All operations of a script."""
    start_clock(dut)
    player = Player(dut, name)
    await reset(dut)
    for place, (kind, *operands) in enumerate(golden.scripts[name]["operations"]):
        try:
            await getattr(player, f"do_{kind}")(*operands)
        except AssertionError as error:
            raise AssertionError(f"{name}, operation {place}, {kind} {operands}: {error}") from None
    await run(dut.clk, [Sink(player.y, [])], SPARE)
    Path("counters.json").write_text(json.dumps(reported))


class Player:
    """Does the operations of the script ``name``: each ``do_…`` is called just after a rising edge, and ends there."""

    def __init__(self, dut: Any, name: str) -> None:
        self._dut, self._name = dut, name
        self._registers = AxiLite(dut, "s_axil__", dut.clk)
        self._parameters, self._x, self.y = (
            axi_channel(dut, f"{face}__t", ("data", "last")) for face in ("s_axis_parameters", "s_axis_x", "m_axis_y")
        )
        self._parameters.valid.value = self._x.valid.value = self.y.ready.value = 0

    async def do_write(self, offset: int, value: int, pauses: Sequence[int], response: int = OKAY) -> None:
        came = await self._registers.write(offset, value, gaps=pauses)
        assert came == response, f"the response is {came}"

    async def do_refused(self, offset: int, value: int, pauses: Sequence[int]) -> None:
        await self.do_write(offset, value, pauses, SLVERR)

    async def do_read(self, offset: int, value: int, pauses: Sequence[int]) -> None:
        came = await self._registers.read(offset, pauses[:2])
        assert came == (value, OKAY), f"data and response are {came}"

    async def do_await(self, offset: int, mask: int, value: int, pauses: Sequence[int]) -> None:
        for _ in range(PATIENCE):
            came, _ = await self._registers.read(offset, pauses[:2])
            if came & mask == value:
                return
        raise AssertionError(f"it is still {came:#x}")

    async def do_report(self, counter: str, offset: int, pauses: Sequence[int]) -> None:
        value, _ = await self._registers.read(offset, pauses[:2])
        reported.setdefault(self._name, {})[counter] = value

    async def do_parameters(self, span: Sequence[int]) -> None:
        beats = golden.part(self._name, "parameters", span).tolist()
        beats[-1] |= 1 << 32
        await run(self._dut.clk, [Source(self._parameters, beats, self._gaps("parameters", span))])

    async def do_tokens(self, span: Sequence[int]) -> None:
        await run(self._dut.clk, [self._source(span)])

    async def do_layer(self, x: Sequence[int], y: Sequence[int]) -> None:
        rows = Sink(self.y, self._gaps("y", y))
        await run(self._dut.clk, [self._source(x), rows])
        self.y.ready.value = 0
        expected, columns, last = (golden.part(self._name, name, y) for name in ("y", "y_columns", "y_last"))
        check_results(rows.beats, expected, columns, last)

    async def do_interrupt(self, value: int) -> None:
        await ClockCycles(self._dut.clk, 2)
        came = int(self._dut.o_interrupt.value)
        assert came == value, f"it is {came}"

    def _source(self, span: Sequence[int]) -> Source:
        beats = [int.from_bytes(beat.tobytes(), "little") for beat in golden.part(self._name, "x", span)]
        return Source(self._x, beats, self._gaps("x", span))

    def _gaps(self, face: str, span: Sequence[int]) -> list[int]:
        gaps: list[int] = golden.part(self._name, f"{face}_gaps", span).tolist()
        return gaps


def check_results(beats: Sequence[int], expected: np.ndarray, columns: np.ndarray, last: np.ndarray) -> None:
    """Compare beats of results with ``expected`` int32 [rows, cols], of which the first ``columns`` [rows] count.

    Raises ``AssertionError`` with the first number that is wrong.
    """
    rows, cols = expected.shape
    octets = np.frombuffer(b"".join(beat.to_bytes(4 * cols + 1, "little") for beat in beats), np.uint8)
    octets = octets.reshape(rows, 4 * cols + 1)
    came = np.ascontiguousarray(octets[:, :-1]).view("<i4")
    wrong = np.argwhere((came != expected) & (np.arange(cols) < columns[:, None]))
    if wrong.size:
        row, column = wrong[0]
        value, right = came[row, column], expected[row, column]
        raise AssertionError(f"row {row} of {rows}, column {column}: {value}, not {right}; {len(wrong)} are wrong")
    marks = np.flatnonzero(octets[:, -1] != last)
    assert not marks.size, f"row {marks[0]} of {rows}: last is {octets[marks[0], -1]}"
