"""Counting by one without a carry chain.

A chain of carries has its place on a grid of its own, and a placer sets the few short ones of a full device wherever
room is left, far from the logic that they count for. These are LUTs like any others.
"""

from __future__ import annotations

from amaranth import Cat, Mux, Value


def plus_one(value: Value) -> Value:
    """``value`` + 1, in its width, around to 0: a bit turns where all below it are 1."""
    return Cat(bit ^ value[:k].all() if k else ~bit for k, bit in enumerate(value))


def minus_one(value: Value) -> Value:
    """``value`` - 1, in its width, 0 around to all ones: a bit turns where all below it are 0."""
    return Cat(bit ^ ~value[:k].any() if k else ~bit for k, bit in enumerate(value))


def moved(value: Value, *, up: Value, down: Value) -> Value:
    """``value`` + 1 at ``up`` alone, - 1 at ``down`` alone, else as it is."""
    return Mux(up & ~down, plus_one(value), Mux(down & ~up, minus_one(value), value))
