"""Peak memory of converting FBI-LLM-7B's 27 GB of float32 latents, measured on generated files of its layout.

    python benchmarks/convert_memory.py [--layers 1 2] [--format safetensors bin] [--directory DIR]

Every generated file has the full-size embedding, head and layers of fbi-llm-7b, only fewer of the layers. Each
conversion runs in a process of its own, whose peak resident memory the kernel reports (``getrusage``, on Linux in KiB).
The least and the greatest number of layers give the projection to all 32. ``--layers 32`` measures it instead, and
needs 28 GB of disk. ``--format bin`` writes the pickle that the authors publish; it needs PyTorch.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from xnorscan.models.config import ModelConfig
from xnorscan.models.layout import layout, published_name
from xnorscan.models.published import get_config
from xnorscan.models.safetensors_file import SafetensorsWriter

MODEL = "fbi-llm-7b"
LIMIT_BYTES = 4_000_000_000

_CONVERT = """
import json, resource, sys, time
from dataclasses import replace
from xnorscan.models.convert import convert
from xnorscan.models.published import get_config

source, destination, model, layers = sys.argv[1:]
start = time.perf_counter()
report = convert(source, replace(get_config(model), layers=int(layers)), destination)
print(json.dumps({
    "layers": int(layers),
    "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    "time_s": time.perf_counter() - start,
    "bytes_before": report.bytes_before,
    "bytes_after": report.bytes_after,
}))
"""


def write_safetensors(path: Path, config: ModelConfig) -> None:
    """Write a checkpoint of ``config`` with normal float32 latents, a block of rows at a time."""
    rng = np.random.default_rng(0)
    shapes = {published_name(config, name): shape for name, shape in layout(config).latents.items()}
    with SafetensorsWriter(path, {name: ("F32", shape) for name, shape in shapes.items()}, {}) as writer:
        for name, shape in shapes.items():
            for start in range(0, shape[0], 512):
                rows = (min(512, shape[0] - start), *shape[1:])
                writer.append(name, 0.02 * rng.standard_normal(rows, np.float32))


def write_bin(path: Path, config: ModelConfig) -> None:
    """Write the same checkpoint as the pickle of a PyTorch state_dict."""
    import torch

    generator = torch.Generator().manual_seed(0)
    state = {
        published_name(config, name): torch.empty(shape).normal_(0, 0.02, generator=generator)
        for name, shape in layout(config).latents.items()
    }
    torch.save(state, path)


WRITERS = {"safetensors": write_safetensors, "bin": write_bin}


def measure(directory: Path, file_format: str, layers: int) -> dict[str, float]:
    """Generate a checkpoint of ``layers`` layers, convert it in a process of its own and remove both files."""
    source, destination = directory / f"model.{file_format}", directory / "model.packed"
    # Generated in another process too: a process inherits the peak of the one that starts it.
    generate = [sys.executable, __file__, "--write", str(source), "--layers", str(layers), "--format", file_format]
    subprocess.run(generate, check=True)
    command = [sys.executable, "-c", _CONVERT, str(source), str(destination), MODEL, str(layers)]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    source.unlink()
    destination.unlink()
    return dict(json.loads(result.stdout))


def main() -> None:
    """Measure each format at each number of layers and print what follows for the whole model."""
    parser = argparse.ArgumentParser(description="Peak memory of converting FBI-LLM-7B.")
    parser.add_argument("--layers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--format", nargs="+", choices=WRITERS, default=["safetensors"])
    parser.add_argument("--directory", type=Path, help="where the generated files go (default: the temporary one)")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    whole = get_config(MODEL)
    if args.write:
        WRITERS[args.format[0]](args.write, replace(whole, layers=args.layers[0]))
        return
    for file_format in args.format:
        with tempfile.TemporaryDirectory(dir=args.directory) as directory:
            results = [measure(Path(directory), file_format, layers) for layers in sorted(args.layers)]
        for result in results:
            part = f"{result['layers']} of {whole.layers} layers, {result['bytes_before'] / 1e9:.2f} GB"
            packed = f"packed to {result['bytes_after'] / 1e9:.3f} GB in {result['time_s']:.1f} s"
            print(f"{MODEL} {file_format}, {part}: peak {result['peak_bytes'] / 1e6:.0f} MB, {packed}")
        first, last = results[0], results[-1]
        per_layer = (last["peak_bytes"] - first["peak_bytes"]) / max(1, last["layers"] - first["layers"])
        peak = last["peak_bytes"] + max(0.0, per_layer) * (whole.layers - last["layers"])
        verdict = "under" if peak < LIMIT_BYTES else "NOT under"
        print(f"{MODEL} {file_format}, all {whole.layers} layers: peak {peak / 1e6:.0f} MB, {verdict} 4 GB")


if __name__ == "__main__":
    main()
