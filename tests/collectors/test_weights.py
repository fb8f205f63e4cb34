"""Putting a GGUF file together, and turning it into a folder."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from collectors.errors import SweepError
from collectors.sweep import SweepFile
from collectors.weights import fingerprints, join, main


def test_parts_are_joined_in_order(tmp_path: Path) -> None:
    parts = [tmp_path / name for name in ("a", "b", "c")]
    for part, content in zip(parts, (b"GGUF1", b"22", b"333"), strict=True):
        part.write_bytes(content)
    join(parts, tmp_path / "whole")
    assert (tmp_path / "whole").read_bytes() == b"GGUF122333"
    with pytest.raises(SweepError, match="does not begin a GGUF file; give the parts in order"):
        join(parts[::-1], tmp_path / "whole")
    with pytest.raises(SweepError, match="no file"):
        join([tmp_path / "none"], tmp_path / "whole")


class Saved:
    """Stands for a model or a tokenizer of `transformers`."""

    def __init__(self) -> None:
        self.hf_quantizer: Any = "gguf"
        self.config = SimpleNamespace(quantization_config={"bits": 4})

    @classmethod
    def from_pretrained(cls, folder: str, **given: Any) -> Saved:
        assert (Path(folder) / given["gguf_file"]).read_bytes() == b"GGUFxyz"
        return cls()

    def save_pretrained(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        left = hasattr(self.config, "quantization_config")
        (folder / f"{len(list(folder.iterdir()))}.txt").write_text(f"{self.hf_quantizer} {left}")


def test_a_file_becomes_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = types.ModuleType("torch")
    torch.bfloat16 = "bfloat16"  # type: ignore[attr-defined]
    transformers = types.ModuleType("transformers")
    transformers.AutoModelForCausalLM = Saved  # type: ignore[attr-defined]
    transformers.AutoTokenizer = Saved  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "transformers", transformers)
    (tmp_path / "1").write_bytes(b"GGUFx")
    (tmp_path / "2").write_bytes(b"yz")
    out = tmp_path / "weights" / "tiny"
    words = [str(tmp_path / "1"), str(tmp_path / "2"), "--out", str(out)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert (out / "0.txt").read_text() == "None False"
    assert [p.name for p in out.parent.iterdir()] == ["tiny"]
    again = CliRunner().invoke(main, words)
    assert again.exit_code == 1
    assert "exists already" in again.output


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "1").write_bytes(b"GGUF")
    result = CliRunner().invoke(main, [str(tmp_path / "1"), "--out", str(tmp_path / "o")])
    assert result.exit_code == 1
    assert "pip install torch transformers" in result.output
    assert not (tmp_path / "o").exists()


def test_local_weights_are_told_by_their_content(tmp_path: Path) -> None:
    folder = tmp_path / "weights" / "tiny"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"one")
    models = [
        {"name": "tiny", "source": "tiny", "parameters": 1e6},
        {"name": "tiny-hot", "source": "tiny", "parameters": 1e6, "temperature": 1.5},
        {"name": "far", "source": "org/far", "parameters": 1e6},
    ]
    file = SweepFile.from_mapping(
        {
            "task": "synthetic",
            "engine": {"kind": "vllm", "weights": str(tmp_path / "weights")},
            "models": models,
            "stages": [{"name": "solve", "models": ["tiny"], "samples": [1]}],
        }
    )
    before = fingerprints(file)
    assert sorted(before) == ["tiny", "tiny-hot"]
    assert before["tiny"] == before["tiny-hot"]
    (folder / "model.safetensors").write_bytes(b"two")
    assert fingerprints(file)["tiny"] != before["tiny"]
