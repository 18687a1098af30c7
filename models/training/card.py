"""The model card: how a trained model was made, and its bits per byte beside gzip and xz, file by file."""

from __future__ import annotations

import gzip
import json
import lzma
import math
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from rich.progress import track

from ...sim.run import Simulator
from ..config import ModelConfig
from ..footprint import footprint
from ..packed import read_packed
from ..published import parameter_counts
from .corpus import BEGIN, SourceFile, library, library_name
from .network import CHUNK, Carry, Network

TORCH_WINDOW = 8 * CHUNK


def write_card(config: ModelConfig, directory: Path) -> None:
    """Measure twin and student of ``directory``; write ``NAME.md``, ``NAME-held-out.csv`` and ``NAME-curve.svg`` there.

    The student is measured as the hardware runs it (integers, default precision), the twin in float32.
    """
    table = held_out_table(config, directory)
    table.to_csv(directory / f"{config.name}-held-out.csv", index=False, float_format="%.4f")
    _plot_curves(config, directory)
    runs = {role: json.loads((directory / f"{role}.json").read_text()) for role in ("twin", "student")}
    (directory / f"{config.name}.md").write_text(_card(config, runs, table))


def held_out_table(config: ModelConfig, directory: Path) -> pd.DataFrame:
    """One row per held-out file: ``path``, ``bytes`` and the bits per byte of gzip, xz, twin and student."""
    twin = Network(replace(config, binarized=False))
    twin.load_state_dict(torch.load(directory / "twin.pt", weights_only=True)["model"])
    student = Simulator(read_packed(directory / f"{config.name}.xnor"))
    rows = []
    for file in track(library("held-out"), f"measuring {config.name} on held-out files"):
        bits = 8 / len(file.text)
        rows.append(
            {
                "path": file.path,
                "bytes": len(file.text),
                "gzip": len(gzip.compress(file.text, 9)) * bits,
                "xz": len(lzma.compress(file.text, preset=9)) * bits,
                "twin": network_bits_per_byte(twin, file),
                "student": student.evaluate(file.text, record=False).bits_per_byte,
            }
        )
    return pd.DataFrame(rows)


@torch.no_grad()
def network_bits_per_byte(net: Network, file: SourceFile) -> float:
    """Bits per byte of a whole file from zero state, in float32."""
    data = np.frombuffer(file.text, np.uint8).astype(np.int64)
    padded = -(-data.size // CHUNK) * CHUNK
    ids = np.full(padded, BEGIN)
    ids[1 : data.size] = data[:-1]
    carry, bits = Carry.zeros(net.config, 1), 0.0
    for start in range(0, padded, TORCH_WINDOW):
        window = torch.from_numpy(ids[None, start : start + TORCH_WINDOW])
        logits, carry.tails, carry.states = net(window, carry.tails, carry.states)
        target = torch.from_numpy(data[start : start + TORCH_WINDOW])
        bits += float(torch.nn.functional.cross_entropy(logits[0, : target.numel()], target, reduction="sum"))
    return bits / math.log(2) / data.size


def totals(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Per coder: bits per byte over all bytes, the mean over files, and on how many files the student is below it."""
    coders = ("gzip", "xz", "twin", "student")
    return {
        coder: {
            "all_bytes": float((table[coder] * table["bytes"]).sum() / table["bytes"].sum()),
            "mean_of_files": float(table[coder].mean()),
            "files_student_below": int((table["student"] < table[coder]).sum()),
        }
        for coder in coders
    }


def _plot_curves(config: ModelConfig, directory: Path) -> None:
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    for role, colour in (("twin", "#7a7a7a"), ("student", "#0b6fa4")):
        curve = pd.read_json(directory / f"{role}.jsonl", lines=True)
        axes.plot(curve["step"], curve["bits_per_byte"], color=colour, alpha=0.25, linewidth=0.8)
        held = curve.dropna(subset=["held_out_bits_per_byte"]).drop_duplicates("held_out_bits_per_byte")
        axes.plot(held["step"], held["held_out_bits_per_byte"], color=colour, marker="o", markersize=3)
        last = held.iloc[-1]
        axes.annotate(
            f"{role}, held out: {last['held_out_bits_per_byte']:.2f}",
            (last["step"], last["held_out_bits_per_byte"]),
            xytext=(6, 4 if role == "student" else -6),
            textcoords="offset points",
            color=colour,
            va="bottom" if role == "student" else "top",
        )
    axes.set(
        xlabel="optimizer step",
        ylabel="bits per byte",
        ylim=(1, 4),
        title=f"{config.name}: training (thin) and held-out (points) loss",
    )
    axes.margins(x=0.25)
    axes.set_xlim(left=0)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(directory / f"{config.name}-curve.svg", metadata={"Date": None})


def _card(config: ModelConfig, runs: dict[str, Any], table: pd.DataFrame) -> str:
    sums = totals(table)
    labels = {
        "gzip": "`gzip -9`",
        "xz": "`xz -9`",
        "twin": "twin, full precision, float32",
        "student": f"**{config.name}, one bit, as the hardware runs it**",
    }
    rows = [
        f"| {label} | {sums[c]['all_bytes']:.3f} | {sums[c]['mean_of_files']:.3f} | {_below(sums[c], len(table), c)} |"
        for c, label in labels.items()
    ]
    counts = parameter_counts(config)
    twin, student = runs["twin"]["recipe"], runs["student"]["recipe"]
    return CARD.format(
        name=config.name,
        config=config,
        binarized=counts.binarized,
        total=counts.total,
        memory=footprint(config),
        rows="\n".join(rows),
        files=len(table),
        held_out_bytes=int(table["bytes"].sum()),
        library=runs["student"]["library"],
        torch=runs["student"]["torch"],
        twin=twin,
        student=student,
        twin_mb=twin["steps"] * twin["batch"] * twin["length"] / 1e6,
        student_mb=student["steps"] * student["batch"] * student["length"] / 1e6,
        measured_with=f"{library_name()} on {platform.machine()}",
    )


def _below(sums: dict[str, float], files: int, coder: str) -> str:
    return "" if coder == "student" else f"{sums['files_student_below']:.0f} of {files}"


CARD = """# {name}: a one-bit Mamba-2 on bytes

{config.layers} layers, d_model {config.d_model}, d_state {config.d_state}, heads of {config.headdim}; {binarized:,} \
one-bit parameters, {total:,} in all. FBI-Linear in_proj and out_proj, byte vocabulary 256. As the hardware holds them \
(int8 embedding, 16-bit scales and state) the weights take {memory.weight_bits:,} bits and the state of one sequence \
{memory.state_bits:,}: {memory.bits:,} in all.

| coder | bits per byte, all bytes | mean of files | files where {name} is below |
|---|---|---|---|
{rows}

{files} held-out files, {held_out_bytes:,} bytes, of the standard library of **{library}**; each file from its first \
byte with an empty state. File by file: `{name}-held-out.csv`.

A model that has read the other files of the same library knows its idiom, which gzip and xz do not: the comparison \
says that the model has learnt, not that it is a better general compressor (its weights are not counted).

![loss curves]({name}-curve.svg)

## How it was made

`python -m xnorscan.models.training {name} -o DIR --twin-steps {twin[steps]} --student-steps {student[steps]}`

- Text: the standard library's source of the running interpreter, split by file (SHA-256 of the path); none is shipped.
- Twin: full precision, {twin[steps]:,} steps, {twin_mb:.1f} MB read.
- Student: starts from the twin (β = column mean, α = mean |W − β|: the seeds' initialisation). Its loss is the \
cross-entropy against the twin's softmax (autoregressive distillation). {student[steps]:,} steps, {student_mb:.1f} MB \
read. α⊙x passes through the 8-bit power-of-two quantizer during training; the papers leave activations in FP16.
- Optimizers: Muon for the projections, AdamW for the rest; seed {student[seed]}; PyTorch {torch}, bfloat16 autocast.
- Measured with {measured_with}.
"""
