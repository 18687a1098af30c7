"""The cocotb test of a part whose every output of every cycle is given: ``BENCH_DATA`` names a JSON list of cycles.

A cycle is the inputs and the outputs of the same cycle, by port; what is not known is ``null``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import Timer


@cocotb.test()
async def vectors(dut: Any) -> None:
    """Every output, in every cycle from power-up on, as it is given."""
    dut.clk.value = 0
    if hasattr(dut, "rst"):
        dut.rst.value = 0
    for cycle, (inputs, outputs) in enumerate(json.loads(Path(os.environ["BENCH_DATA"]).read_text())):
        for name, value in inputs.items():
            getattr(dut, name).value = int(value)
        await Timer(1, "ns")
        for name, value in outputs.items():
            found = getattr(dut, name).value
            assert value is None or int(found) == int(value), f"cycle {cycle}: {name} is {found}, not {value}"
        dut.clk.value = 1
        await Timer(1, "ns")
        dut.clk.value = 0
