"""Runs a pipelined component with new inputs in every cycle."""

from __future__ import annotations

from typing import Any

from amaranth.sim import Simulator


def outputs_of(dut: Any, inputs: list[dict[str, int]]) -> list[int]:
    """``dut.o``, ``dut.latency`` cycles after each of ``inputs`` was there for one cycle."""
    found: list[int] = []

    async def bench(context: Any) -> None:
        for values in [*inputs, *[inputs[0]] * (dut.latency - 1)]:
            for name, value in values.items():
                context.set(getattr(dut, name), value)
            await context.tick()
            found.append(context.get(dut.o))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found[dut.latency - 1 :]
