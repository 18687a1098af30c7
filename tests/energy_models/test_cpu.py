"""energy_models/cpu.py: RAPL counters that are there, that wrap, that cannot be read, that are not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xnorscan.energy_models import cpu
from xnorscan.energy_models.cpu import EnergyMeter, measure, processor, stream


def zone(root: Path, name: str, kind: str, energy: object, end: int = 999) -> Path:
    path = root / name
    path.mkdir(parents=True)
    (path / "name").write_text(kind + "\n")
    (path / "energy_uj").write_text(f"{energy}\n")
    (path / "max_energy_range_uj").write_text(f"{end}\n")
    return path


def test_packages_are_read_and_nothing_below_or_beside_them(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 100)
    zone(tmp_path, "intel-rapl:1", "package-1", 7)
    zone(tmp_path, "intel-rapl:0:0", "core", 5)
    zone(tmp_path, "intel-rapl:2", "psys", 5000)
    meter = EnergyMeter(tmp_path)
    assert (meter.read(), meter.name) == ([100, 7], "energy by RAPL of 2 packages")


def test_a_counter_that_wraps_is_counted_through(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 0, end=999)
    assert EnergyMeter(tmp_path).joules([990], [15]) == pytest.approx(25e-6)
    assert EnergyMeter(tmp_path).joules([15], [990]) == pytest.approx(975e-6)


def test_energy_is_of_one_repetition(tmp_path: Path) -> None:
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 0, end=10**9) / "energy_uj"
    found = measure(lambda: counter.write_text(f"{int(counter.read_text()) + 500_000}\n"), 4, tmp_path)
    assert found.joules == pytest.approx(0.5)
    assert found.seconds > 0
    assert found.meter == "energy by RAPL of 1 package"


def test_without_counters_there_is_a_time_and_a_reason(tmp_path: Path) -> None:
    found = measure(lambda: None, 3, tmp_path / "none")
    assert found.joules is None
    assert found.seconds >= 0
    assert found.meter == f"no energy, {tmp_path / 'none'} is not there"
    assert measure(lambda: None, 1, tmp_path).meter == f"no energy, {tmp_path} has no RAPL package"


def test_a_package_that_cannot_be_read_leaves_out_all(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 100)
    (zone(tmp_path, "intel-rapl:1", "package-1", 0) / "energy_uj").unlink()
    meter = EnergyMeter(tmp_path)
    assert meter.name.endswith("intel-rapl:1/energy_uj cannot be read (FileNotFoundError)")
    assert meter.joules(meter.read(), meter.read()) is None


def test_a_counter_that_goes_away_costs_only_the_energy(tmp_path: Path) -> None:
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 100) / "energy_uj"
    found = measure(lambda: counter.unlink(missing_ok=True), 2, tmp_path)
    assert (found.joules, found.meter) == (None, "no energy, a RAPL counter failed (FileNotFoundError)")


def test_a_stream_scales_with_the_bytes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cpu, "STREAM_MIB", 1)
    monkeypatch.setattr(cpu, "STREAM_SECONDS", 0.0)
    monkeypatch.setattr(cpu, "measure", lambda run, repetitions, root: cpu.Measured(2.0, 8.0, "given"))
    found = stream(3 * 2**20, tmp_path)
    assert (found.seconds, found.joules, found.meter) == (6.0, 24.0, "given")


def test_the_stream_reads_the_whole_matrix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    products: list[tuple[int, ...]] = []
    monkeypatch.setattr(cpu, "STREAM_MIB", 1)
    monkeypatch.setattr(cpu, "STREAM_SECONDS", 0.0)
    monkeypatch.setattr(np, "dot", lambda matrix, vector, out: products.append((matrix.nbytes, *matrix.shape)))
    assert stream(2**20, tmp_path).joules is None
    assert set(products) == {(2**20, 64, 4096)}


def test_the_processor_has_a_name(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("flags : x\nmodel name\t: AMD 9 Core\nmodel name\t: AMD 9 Core\n")
    assert processor(tmp_path / "cpuinfo").startswith("AMD 9 Core, ")
    assert processor(tmp_path / "none").endswith(" cores")
