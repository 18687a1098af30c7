from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnorscan.reports import quantities as q


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.1234, "0.123"), (1.0, "1.00"), (9.996, "10.0"), (12.34, "12.3"), (999.6, "1,000"), (12345, "12,300")],
)
def test_three_significant_digits_with_thousands_separators(value: float, text: str) -> None:
    assert q.digits(value) == text


@pytest.mark.parametrize(
    ("microjoules", "text"),
    [
        (25_600, "25.6 mJ"),
        (1.15e6, "1.15 J"),
        (0.658, "658 nJ"),
        (2.85, "2.85 µJ"),
        (4e-5, "40.0 pJ"),
        (1e-9, "0.00100 pJ"),
    ],
)
def test_energy_has_the_prefix_that_leaves_one_to_three_digits(microjoules: float, text: str) -> None:
    assert q.energy(microjoules) == text


def test_a_range_has_one_unit_that_of_its_high_end() -> None:
    assert q.energy_range(227_000, 1_140_000) == "0.227–1.14 J"


@pytest.mark.parametrize(("ratio", "text"), [(0.934, "0.93×"), (7.44, "7.4×"), (9.96, "10×"), (1234.0, "1,234×")])
def test_factor(ratio: float, text: str) -> None:
    assert q.factor(ratio) == text


def test_a_range_that_reads_the_same_at_both_ends_is_one_number() -> None:
    assert q.factor_range(8.62, 9.31) == "8.6–9.3×"
    assert q.factor_range(8.61, 8.62) == "8.6×"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.434, "43 %"), (0.00996, "1 %"), (0.0094, "0.9 %"), (0.004, "0.4 %"), (0.0005, "0.1 %"), (0.0004, "<0.1 %"),
        (0.0, "0 %"), (1.0, "100 %"),
    ],
)  # fmt: skip
def test_share(value: float, text: str) -> None:
    assert q.share(value) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.0114, "11.4 ms"), (2.0, "2.00 s"), (2.17e-6, "2.17 µs")])
def test_duration(seconds: float, text: str) -> None:
    assert q.duration(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(582e6, "582 MB"), (0, "0 B"), (5.48e9, "5.48 GB"), (811e3, "811 kB")])
def test_size(count: float, text: str) -> None:
    assert q.size(count) == text


@given(st.floats(1e-5, 1e12))
def test_what_is_shown_is_within_half_a_percent(microjoules: float) -> None:
    number, unit = q.energy(microjoules).split()
    scale = {"J": 1e6, "mJ": 1e3, "µJ": 1.0, "nJ": 1e-3, "pJ": 1e-6}[unit]
    assert float(number.replace(",", "")) * scale == pytest.approx(microjoules, rel=0.0051)
    assert re.fullmatch(r"[\d,.]+", number)


def test_what_is_not_finite_is_a_dash() -> None:
    assert q.energy(float("nan")) == "–"
    assert q.factor(float("inf")) == "–"


def test_rates_have_the_unit_that_fits() -> None:
    assert [q.rate(v) for v in (8.192e12, 51.2e9, 7.9e6, 12.0)] == [
        "8.19 Top/s",
        "51.2 Gop/s",
        "7.90 Mop/s",
        "12.0 op/s",
    ]
