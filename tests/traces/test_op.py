"""``Op``: what a row refuses, and how it says so."""

from __future__ import annotations

from typing import Any

import pytest

from xnorscan.traces.op import KINDS, LEAST, Op

LINEAR: dict[str, Any] = {
    "step": 0, "layer": 3, "name": "in_proj", "kind": "linear", "sequences": 1, "tokens": 2, "outputs": 16,
    "inputs": 64, "weight_planes": 1, "activation_bits": 2, "weight_bytes": 128, "input_bytes": 32, "output_bytes": 72,
}  # fmt: skip


def test_a_good_row_keeps_its_values() -> None:
    op = Op(**LINEAR, density=(0.0, 1.0), toggle=(0.5, 0.25), saturations=0, max_abs=127)
    assert (op.outputs, op.inputs, op.density, op.max_abs, op.d_state) == (16, 64, (0.0, 1.0), 127, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_allowed(kind: str) -> None:
    assert Op(**LINEAR | {"kind": kind}).kind == kind


@pytest.mark.parametrize(("field", "least"), [*LEAST.items(), ("saturations", 0), ("max_abs", 0)])
def test_the_least_value_is_allowed_and_one_less_is_refused_by_name(field: str, least: int) -> None:
    assert getattr(Op(**LINEAR | {field: least}), field) == least
    with pytest.raises(ValueError, match=f"^in_proj: {field} is {least - 1}, it must be at least {least}$"):
        Op(**LINEAR | {field: least - 1})


def test_every_integer_field_has_a_least_value() -> None:
    integers = {name for name, kind in Op.__annotations__.items() if kind == "int"}
    assert set(LEAST) == integers


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "an operation has no name, it must have one"),
        ({"kind": "matmul"}, "in_proj: kind is 'matmul', it must be one of embedding, rmsnorm, linear, "),
        ({"density": (0.5,)}, r"in_proj: density has 1 planes, it must have one per activation bit \(2\)"),
        ({"toggle": ()}, r"in_proj: toggle has 0 planes, it must have one per activation bit \(2\)"),
        ({"density": (0.5, 1.5)}, r"in_proj: density is \(0.5, 1.5\), each share must lie between 0 and 1"),
        ({"toggle": (-0.1, 0.5)}, r"in_proj: toggle is \(-0.1, 0.5\), each share must lie between 0 and 1"),
        ({"density": (float("nan"), 0.5)}, "in_proj: density is .*nan.*, each share must lie between 0 and 1"),
    ],
)
def test_a_wrong_value_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        Op(**LINEAR | change)
