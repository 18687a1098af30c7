"""The worked examples run, and find what follows from the machine."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_sweep_puts_the_least_energy_delay_product_first(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "sweep_arrays.py"), run_name="__main__")
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == [
        "design", "macs_per_cycle", "uJ/token", "tokens_per_s", "uJ·s", "bound", "bound_share",
    ]  # fmt: skip
    assert len(printed) == 13
    products = [float(line.split()[4]) for line in printed[1:]]
    assert products == sorted(products)


def test_rows_beyond_the_batch_gain_nothing_and_bandwidth_does() -> None:
    sweep = runpy.run_path(str(EXAMPLES / "sweep_arrays.py"))["sweep"]
    found = sweep("bi-mamba-2.7b", rows=(1, 16), cols=(32,), drams=("lpddr5", "hbm3")).set_index("design")
    speed = found["tokens_per_s"]
    assert speed["1x32-hbm3"] > 2 * speed["1x32-lpddr5"]
    assert 0.999 * speed["1x32-hbm3"] < speed["16x32-hbm3"] < speed["1x32-hbm3"]  # its results take two cycles more
    assert found.index[:2].tolist() == ["1x32-hbm3", "16x32-hbm3"]
    assert found["energy_uj_per_token"]["1x32-hbm3"] < found["energy_uj_per_token"]["1x32-lpddr5"]
