"""Which array and which memory for Bi-Mamba 2.7B? A design space in plain Python: rows × cols × DRAM kinds, decode.

At batch 1 one row works, so of designs that do equally well the one with fewer rows stands first.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import pandas as pd

from xnorscan.designs.design import Dram, OneBitDesign, load_design
from xnorscan.energy_models.cost import cost
from xnorscan.energy_models.summary import per_token
from xnorscan.models.operations import shape_trace
from xnorscan.models.published import get_config

DRAMS = {"lpddr4": 25.6, "lpddr5": 51.2, "hbm2": 307.2, "hbm3": 819.2}
"""GB/s of the part that is usual of each kind: two 64-bit packages, two stacks."""


def sweep(model: str, rows: Sequence[int], cols: Sequence[int], drams: Sequence[str], batch: int = 1) -> pd.DataFrame:
    """One row per design, the least energy-delay product first; the rest of each design is that of ``edge-28nm``."""
    base = load_design("edge-28nm").model_dump(exclude={"kind", "name", "rows", "cols", "dram"})
    designs = [
        OneBitDesign(
            **base, name=f"{r}x{c}-{dram}", rows=r, cols=c, dram=Dram(kind=dram, bandwidth_gb_per_s=DRAMS[dram])
        )
        for r, c, dram in product(rows, cols, drams)
    ]
    trace = shape_trace(get_config(model), phase="decode", length=512, batch=batch)
    found = per_token(cost(trace, designs), tokens=batch)
    found["macs_per_cycle"] = [design.peak_macs_per_cycle for design in designs]
    found["edp_uj_s"] = found["energy_uj_per_token"] * found["latency_us_per_token"] * 1e-6
    return found.sort_values(["edp_uj_s", "macs_per_cycle"], ignore_index=True)


def main() -> None:
    found = sweep("bi-mamba-2.7b", rows=(1, 4, 16), cols=(8, 32, 128), drams=tuple(DRAMS))
    shown = found.rename(columns={"energy_uj_per_token": "uJ/token", "edp_uj_s": "uJ·s"})
    columns = ["design", "macs_per_cycle", "uJ/token", "tokens_per_s", "uJ·s", "bound", "bound_share"]
    print(shown[columns].head(12).to_string(index=False, float_format="{:.4g}".format))


if __name__ == "__main__":
    main()
