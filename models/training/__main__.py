"""``python -m xnorscan.models.training NAME -o DIR``: train a model of the tiny family, measure it, write its card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer

from ..convert import convert
from ..published import get_config
from .card import write_card
from .export import export
from .train import Recipe, train


def main(
    name: Annotated[str, typer.Argument(help="tiny or small")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="folder for checkpoints, curves, packed weights and card")
    ],
    twin_steps: Annotated[int, typer.Option(help="optimizer steps of the full-precision twin")] = 2000,
    student_steps: Annotated[int, typer.Option(help="optimizer steps of the one-bit student")] = 2600,
    hard_share: Annotated[float, typer.Option(help="share of the text's own next byte in the student's loss")] = 0.0,
    seed: Annotated[int, typer.Option(help="of the parameters and of the order of the files")] = 0,
    threads: Annotated[int, typer.Option(help="CPU threads")] = 2,
) -> None:
    """Train the twin, distil the student, pack it and measure both on the held-out files.

    Every stage that is already done in the output folder is kept, and an interrupted one goes on where it stopped.
    """
    torch.set_num_threads(threads)
    config = get_config(name)
    twin = train(replace(config, binarized=False), Recipe(role="twin", steps=twin_steps, seed=seed), output)
    student = train(config, Recipe(role="student", steps=student_steps, seed=seed, hard_share=hard_share), output, twin)
    latents = export(student, output / "student.safetensors")
    convert(latents, config, output / f"{name}.xnor", keep="float32")
    write_card(config, output)


if __name__ == "__main__":
    typer.run(main)
