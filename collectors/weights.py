"""From a GGUF file to a folder that vLLM on a CPU can load: `python -m collectors.weights`.

vLLM reads no GGUF on a CPU; `transformers` (with `gguf` and `accelerate`) does, dequantised, and
saves an ordinary folder of safetensors.
"""

from __future__ import annotations

import hashlib
import importlib
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from collectors.errors import SweepError

if TYPE_CHECKING:
    from collectors.sweep import SweepFile

MAGIC = b"GGUF"


def fingerprints(file: SweepFile) -> dict[str, str]:
    """For each model whose weights are a folder on this machine, the hash of what lies there.

    A folder has no revision of the Hub, so its content stands for one: SHA-256 over the names and
    contents of its files.
    """
    settings = file.engine.settings
    inner = settings.get("engine")
    given = settings.get("weights") or (inner.get("weights") if isinstance(inner, dict) else None)
    found: dict[str, str] = {}
    for source in dict.fromkeys(model.source for model in file.models):
        places = [Path(source).expanduser(), *([Path(str(given)) / source] if given else [])]
        folder = next((place for place in reversed(places) if place.is_dir()), None)
        if folder is not None:
            found[source] = f"sha256:{_folder_hash(folder)}"
    return {m.name: found[m.source] for m in file.models if m.source in found}


def _folder_hash(folder: Path) -> str:
    whole = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with path.open("rb") as handle:
            inside = hashlib.file_digest(handle, "sha256").hexdigest()
        whole.update(f"{path.relative_to(folder).as_posix()} {inside}\n".encode())
    return whole.hexdigest()


def join(parts: Sequence[Path], target: Path) -> None:
    """Concatenate the parts of one GGUF file in the order given; raises `SweepError`."""
    for part in parts:
        if not part.is_file():
            raise SweepError(f"no file {part}")
    with parts[0].open("rb") as first:
        if first.read(4) != MAGIC:
            raise SweepError(f"{parts[0]} does not begin a GGUF file; give the parts in order")
    with target.open("wb") as out:
        for part in parts:
            with part.open("rb") as source:
                shutil.copyfileobj(source, out, 2**20)


def convert(gguf: Path, out: Path) -> None:
    """Write `gguf` as a folder of weights and tokenizer; `out` appears as a whole."""
    try:
        torch = importlib.import_module("torch")
        transformers = importlib.import_module("transformers")
    except ModuleNotFoundError as error:
        raise SweepError(
            f"converting weights needs the package {error.name!r}: pip install torch transformers "
            "gguf accelerate"
        ) from None
    folder, name = str(gguf.parent), gguf.name
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=name)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=name, dtype=torch.bfloat16
    )
    # The weights are dequantised now; what says otherwise would be saved with them.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as temporary:
        inside = Path(temporary) / "weights"
        model.save_pretrained(inside)
        tokenizer.save_pretrained(inside)
        inside.rename(out)


@click.command()
@click.argument("parts", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A new folder.")
def main(parts: tuple[Path, ...], out: Path) -> None:
    """Convert a GGUF file, given whole or as its PARTS in order, to a folder for vLLM."""
    if out.exists():
        raise click.ClickException(f"{out} exists already")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=out.parent) as temporary:
            whole = Path(temporary) / "model.gguf"
            join(parts, whole)
            convert(whole, out)
    except SweepError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{out}: ready")


if __name__ == "__main__":
    main()
