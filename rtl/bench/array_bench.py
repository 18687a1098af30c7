"""The cocotb tests of ``SystolicArray``: one per case of the golden data that ``BENCH_DATA`` names.

A case is a list of matrix products whose passes follow one another. Every row must be the golden one, every host's sum
of them too; where nobody stalls and a case gives its cycles, they must be exactly these. A case with ``reset_after`` is
run for that many cycles, reset and run again: nothing may be left behind. What was covered is left in
``coverage.json`` in the current folder.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles

from .coverage import Coverage, remainder, stalls
from .scoreboard import check_rows, check_sums, unpack
from .streams import Sink, Source, reset, run, start_clock, stream

STREAMS = ("i_activations", "i_weights", "o")
SPARE = 64
"""Cycles after the last row in which a row too many would come."""

covered = Coverage()


class Golden:
    """The golden data of a file: ``sizes`` of the array, ``cases`` by name."""

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as file:
            self._arrays = dict(file)
        described = json.loads(str(self._arrays["description"]))
        self.sizes: dict[str, Any] = described["array"]
        self.cases: dict[str, dict[str, Any]] = described["cases"]

    def beats(self, name: str, case: dict[str, Any]) -> tuple[list[int], list[int]]:
        """The beats of the stream ``name`` in a case, and the idle cycles before each."""
        part = slice(*case[name])
        packed = self._arrays[name][part]
        return [int.from_bytes(beat.tobytes(), "little") for beat in packed], self._arrays[f"{name}_gaps"][
            part
        ].tolist()

    def product(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Coefficients, offset [outputs] and sums ``acc`` [tokens, outputs] of a product."""
        parts = {name: self._arrays[name][slice(*entry[name])] for name in ("coefficients", "offset", "acc")}
        return parts | {"acc": parts["acc"].reshape(entry["tokens"], entry["outputs"])}


golden = Golden(Path(os.environ["BENCH_DATA"]))


@cocotb.test()
@cocotb.parametrize(name=list(golden.cases))
async def products(dut: Any, name: str) -> None:
    """All products of a case, one behind the other."""
    dut._log.info("case %s", name)
    try:
        await _run_case(dut, golden.cases[name], golden.sizes)
    except AssertionError as error:
        raise AssertionError(f"{name}: {error}") from None
    covered.write(Path("coverage.json"))


async def _run_case(dut: Any, case: dict[str, Any], sizes: dict[str, Any]) -> None:
    start_clock(dut)
    expected = golden.beats("o", case)[0]
    if case["reset_after"]:
        ports = _ports(dut, case)
        await reset(dut)
        interrupted = cocotb.start_soon(run(dut.clk, ports))
        await ClockCycles(dut.clk, case["reset_after"])
        interrupted.cancel()
    activations, weights, rows = ports = _ports(dut, case)
    await reset(dut)
    await run(dut.clk, ports, SPARE)
    check_rows(expected, rows.beats, sizes["cols"], sizes["acc_bits"])
    raw = unpack(rows.beats, sizes["cols"], sizes["acc_bits"])
    for entry in case["products"]:
        start, stop = (place - case["o"][0] for place in entry["o"])
        check_sums(golden.product(entry), raw[start:stop], sizes["rows"], sizes["cols"])
        _cover(entry, case, activations, weights, rows)
    if case["cycles"] is not None:
        cycles = rows.at[-1] - activations.at[0] + 1
        assert cycles == case["cycles"], f"{cycles} cycles from the first step to the last row, not {case['cycles']}"


def _ports(dut: Any, case: dict[str, Any]) -> tuple[Source, Source, Sink]:
    activations, weights = (Source(stream(dut, port), *golden.beats(port, case)) for port in STREAMS[:2])
    return activations, weights, Sink(stream(dut, "o"), golden.beats("o", case)[1])


def _cover(entry: dict[str, Any], case: dict[str, Any], activations: Source, weights: Source, rows: Sink) -> None:
    steps = range(*(place - case["i_activations"][0] for place in entry["i_activations"]))
    taken = range(*(place - case["o"][0] for place in entry["o"]))
    seen = stalls(
        not activations.starved.isdisjoint(steps),
        not weights.starved.isdisjoint(steps),
        not rows.held.isdisjoint(taken),
    )
    precision = f"{golden.sizes['activations']} {entry['bits']}"
    covered.add(precision, len(range(*entry["coefficients"])), remainder(entry["inputs"], golden.sizes["lanes"]), seen)
