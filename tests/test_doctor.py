"""``doctor``: what it looks for, what it says where something is missing."""

from __future__ import annotations

from importlib import metadata

import pytest

from xnorscan import doctor


@pytest.fixture
def named() -> dict[str, doctor.Finding]:
    return {finding.name: finding for finding in doctor.examine()}


def without(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name == missing:
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(doctor.metadata, "version", version)


def test_every_requirement_of_ours_is_examined_and_says_what_it_is_for(named: dict[str, doctor.Finding]) -> None:
    required = {doctor.Requirement(line).name.lower() for line in metadata.requires("xnorscan") or []}
    assert required == set(doctor.PURPOSES)
    assert required <= named.keys()
    assert all(finding.purpose for finding in named.values())


def test_the_machine_that_runs_the_tests_has_the_core(named: dict[str, doctor.Finding]) -> None:
    assert doctor.healthy(list(named.values()))
    assert named["numpy"].part == "core"
    assert named["numpy"].found == metadata.version("numpy")
    assert named["pytest"].part == "dev"
    assert named["amaranth"].part == "rtl"


def test_whatever_is_not_well_has_a_remedy(named: dict[str, doctor.Finding]) -> None:
    for finding in named.values():
        assert bool(finding.remedy) == (finding.status != "ok"), finding


def test_a_missing_core_package_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "pyarrow")
    found = doctor.examine()
    (missing,) = (f for f in found if f.name == "pyarrow")
    assert (missing.status, missing.remedy) == ("missing", "pip install .")
    assert not doctor.healthy(found)


def test_a_missing_extra_is_healthy_and_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "torch")
    found = doctor.examine()
    (missing,) = (f for f in found if f.name == "torch")
    assert (missing.status, missing.remedy) == ("missing", "pip install '.[train]'")
    assert doctor.healthy(found)


def test_a_version_outside_the_range_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version
    monkeypatch.setattr(doctor.metadata, "version", lambda name: "1.26.4" if name == "numpy" else real(name))
    found = doctor.examine()
    (old,) = (f for f in found if f.name == "numpy")
    assert (old.status, old.found) == ("outside the range", "1.26.4")
    assert old.remedy.startswith("pip install 'numpy")
    assert ">=2.1" in old.remedy
    assert not doctor.healthy(found)


def test_a_missing_tool_names_what_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = doctor.shutil.which
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None if name == "perl" else real(name))
    found = doctor.examine()
    (perl,) = (f for f in found if f.name == "perl")
    assert perl.status == "missing"
    assert perl.remedy.endswith("install perl")
    assert "Verilator" in perl.purpose
    assert doctor.healthy(found)


def test_a_cache_that_cannot_be_written_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: False)
    (cache,) = (f for f in doctor.examine() if f.name == "kernel cache")
    assert cache.status == "missing"
    assert "XNORSCAN_CACHE_DIR" in cache.remedy


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("torch", "train"),
        ("torch.nn", "train"),
        ("amaranth.hdl", "rtl"),
        ("z3", "rtl"),
        ("numpy", None),
        ("nowhere", None),
    ],
)
def test_extra_of_a_module(module: str, extra: str | None) -> None:
    assert doctor.extra_of(module) == extra
