"""``BOUNDS``: the words for what can bind an operation, apart from the model so that a table can name them cheaply."""

from __future__ import annotations

BOUNDS = ("compute", "weights", "head", "state", "activations")
"""The arithmetic, or the largest part of the DRAM traffic: weights of the layers, of embedding and head, state, spilled
activations."""
