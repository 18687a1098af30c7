"""The shipped models on a text of their own kind: what integers lose against the float64 student, in bits per byte."""

from __future__ import annotations

import functools
import re
from typing import Any

import numpy as np
import pytest

from oracles.mamba2 import bits_per_symbol, language_model, weights_from_packed
from xnorscan.models.precision import STATE_BITS, Precision
from xnorscan.models.shipped import load_shipped, shipped_names
from xnorscan.sim.run import BEGIN, Simulator

TEXT = b'''"""A small inventory: items are added, found by name and written to a table."""

import csv
import io
from collections import defaultdict


class ItemError(ValueError):
    """Raised when an item cannot be added to the inventory."""


class Item:
    """One kind of thing, how many of it there are, and what one costs."""

    def __init__(self, name, count=0, price=None):
        if not name:
            raise ItemError("an item must have a name")
        if count < 0:
            raise ItemError("count must not be negative: %r" % count)
        self.name = name
        self.count = count
        self.price = price

    def __repr__(self):
        return "%s(%r, count=%r)" % (self.__class__.__name__, self.name, self.count)

    def value(self):
        """Return the value of all of them, or None if the price is unknown."""
        if self.price is None:
            return None
        return self.count * self.price


class Inventory:
    def __init__(self, items=()):
        self._items = {}
        self._by_price = defaultdict(list)
        for item in items:
            self.add(item)

    def __len__(self):
        return len(self._items)

    def __iter__(self):
        return iter(self._items.values())

    def add(self, item):
        """Add an item. If one of that name is already there, the counts are summed."""
        try:
            known = self._items[item.name]
        except KeyError:
            self._items[item.name] = item
            self._by_price[item.price].append(item)
        else:
            known.count += item.count

    def find(self, name, default=None):
        return self._items.get(name, default)

    def total(self):
        values = [item.value() for item in self if item.price is not None]
        return sum(values, 0)

    def write(self, stream):
        writer = csv.writer(stream)
        writer.writerow(["name", "count", "price"])
        for item in sorted(self, key=lambda each: each.name):
            writer.writerow([item.name, item.count, item.price])


if __name__ == "__main__":
    inventory = Inventory([Item("bolt", 100, 2), Item("nut", 80, 1), Item("washer", 250)])
    inventory.add(Item("nut", 20, 1))
    output = io.StringIO()
    inventory.write(output)
    print(output.getvalue())
    print("total value:", inventory.total())
'''


@functools.cache
def float_bits_per_byte(name: str) -> float:
    """Of the student as trained: one-bit weights, α, β and everything else in float64, nothing quantized."""
    logits, _ = language_model(weights_from_packed(load_shipped(name)), np.array([BEGIN, *TEXT[:-1]]))
    return bits_per_symbol(logits, np.array(list(TEXT)))


def loss(name: str, **precision: Any) -> float:
    """How much more bits per byte the integers need, relative."""
    measured = Simulator(load_shipped(name), Precision(**precision)).evaluate(TEXT, record=False).bits_per_byte
    return measured / float_bits_per_byte(name) - 1


@pytest.mark.parametrize("name", shipped_names())
def test_the_model_has_learned_python(name: str) -> None:
    assert float_bits_per_byte(name) < 2.5, "a text without structure costs 8, its single bytes' frequencies about 4.6"


@pytest.mark.parametrize("quantizer", ["pow2", "absmax"])
@pytest.mark.parametrize("name", shipped_names())
def test_the_default_formats_lose_under_one_percent(name: str, quantizer: str) -> None:
    assert abs(loss(name, quantizer=quantizer)) < 0.01


def test_narrow_states_lose_more() -> None:
    losses = {bits: loss("tiny", state_bits=bits) for bits in STATE_BITS}
    assert losses[8] > losses[12] > losses[16] - 0.001
    assert all(abs(losses[bits] - losses[32]) < 0.002 for bits in (16, 18, 24))


@pytest.mark.parametrize("name", shipped_names())
def test_nothing_saturates_much(name: str) -> None:
    """Of all values that the run computed, fewer than one in ten thousand was clipped."""
    trace = Simulator(load_shipped(name)).evaluate(TEXT).trace
    assert trace is not None
    assert trace.ops["saturations"].sum() < 1e-4 * (trace.ops["tokens"] * trace.ops["outputs"]).sum()


def test_generated_code_looks_like_python() -> None:
    """``small`` goes on from "def " with an identifier, a parenthesis and, soon, an indented line."""
    text = b"def " + b"".join(Simulator(load_shipped("small")).generate(b"def ", 200))
    assert re.match(rb"def [a-zA-Z_]\w*\(.*\):\n {4,}\S", text)
