"""TextVQA (Singh et al. 2019) in two stages: describe the image for the question, then reason.

Rows have `question`, `answers` (ten people's) and `image`: a path, a `data:` URL, bytes, or an
image of Pillow as the Hub's library gives it.
"""

from __future__ import annotations

import base64
import io
import mimetypes
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from collectors.data import DataSource, HubDefault, Row, choose, need, read_rows
from collectors.errors import SweepError
from collectors.fusers import BestOfN, MajorityVote, ModelFusion
from collectors.pipeline import Context, Prompt, StageSpec, TaskSpec
from collectors.tasks.multihop import parse_answer
from simulator.paths import is_file

_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


class TextvqaOptions(BaseModel):
    """`longest_side`: larger images are scaled down to this many pixels (needs Pillow)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    longest_side: int | None = Field(default=None, ge=32)


def textvqa(data: DataSource, options: TextvqaOptions, seed: int) -> TaskSpec:
    """Image in, an answer of a few words out."""
    default = HubDefault("lmms-lab/textvqa")
    rows = read_rows(data, default)
    folder = data.path.parent if data.path else Path()

    def make(index: int, row: Row) -> Mapping[str, Any]:
        return {
            "question": str(need(row, "question")),
            "image": image_url(need(row, "image"), folder, options.longest_side),
            "answers": [str(answer) for answer in need(row, "answers")],
        }

    def identify(index: int, row: Row) -> str:
        return str(row.get("question_id") or index)

    return TaskSpec(
        name="textvqa",
        title="TextVQA: describe the image, then reason",
        metric="accuracy",
        stages=(SUMMARISE, REASON),
        examples=choose(data, rows, make, seed, identify),
        source=str(data.dataset or default.dataset) if data.path is None else "a local file",
        facts={"accuracy": "VQA accuracy: min(1, agreeing people / 3), averaged leaving one out"},
    )


def image_url(image: Any, folder: Path, longest: int | None = None) -> str:
    """An image as a `data:` URL; raises `SweepError` naming a file that is not there."""
    if isinstance(image, str) and image.startswith("data:"):
        return image
    if isinstance(image, Mapping):
        image = image.get("bytes") or image.get("path")
    kind = "image/png"
    if isinstance(image, str | Path):
        path = folder / image
        if not is_file(path):
            raise SweepError(f"data: no image {path}")
        kind = mimetypes.guess_type(path.name)[0] or kind
        content = path.read_bytes()
    elif isinstance(image, bytes):
        content = image
    elif hasattr(image, "save"):
        content = _png(image)
    else:
        raise SweepError(f"data: an image must be a path, bytes or a picture, not {type(image)}")
    if longest is not None:
        content, kind = _smaller(content, longest), "image/png"
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _png(image: Any) -> bytes:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, format="PNG")
    return buffer.getvalue()


def _smaller(content: bytes, longest: int) -> bytes:
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        image.thumbnail((longest, longest))
        return _png(image)


def _summarise_prompt(context: Context) -> Prompt:
    fields = context.example.fields
    return Prompt(
        system="You describe images exactly, with every text that can be read in them.",
        text=f"Somebody will ask: {fields['question']}\n"
        "Describe in at most five sentences what in the image matters for this, and copy all text "
        "that can be read there.",
        lead="Description:",
        images=(fields["image"],),
    )


def _description(context: Context, text: str) -> str | None:
    return " ".join(text.split()) or None


def _typical(context: Context, answer: str) -> float:
    """Longer descriptions hold more; over 120 words nothing is gained."""
    return min(len(set(answer.lower().split())), 120)


def _reason_prompt(context: Context) -> Prompt:
    return Prompt(
        system="You answer questions about an image that was described to you.",
        text=f"Description: {context.upstream or '(none)'}\n\n"
        f"Question: {context.example.fields['question']}\n\n"
        "Think briefly, then write the answer in at most a few words after 'Answer:'.",
        lead="Reasoning:",
    )


def normalise_vqa(text: str) -> str:
    """Lower case, number words as digits, no articles, no punctuation but inside numbers.

    >>> normalise_vqa("The Two, 3.5!")
    '2 3.5'
    """
    words = re.sub(r"(?<!\d)[.,]|[.,](?!\d)|[^\w\s.,']", " ", text.lower()).split()
    kept = (word for word in words if word not in ("a", "an", "the"))
    return " ".join(str(_NUMBERS.index(w)) if w in _NUMBERS else w for w in kept)


def vqa_accuracy(answer: str, golds: Sequence[str]) -> float:
    """min(1, agreeing / 3), averaged over leaving out each person in turn."""
    hits = [normalise_vqa(gold) == normalise_vqa(answer) for gold in golds]
    if len(hits) < 2:
        return float(any(hits))
    total = sum(hits)
    return sum(min(1.0, (total - hit) / 3) for hit in hits) / len(hits)


def _score(context: Context, result: str) -> dict[str, float]:
    return {"accuracy": vqa_accuracy(result, context.example.fields["answers"])}


def _no_score(context: Context, result: str) -> dict[str, float]:
    return {}


SUMMARISE = StageSpec(
    name="summarise",
    description="describe what in the image matters for the question",
    prompt=_summarise_prompt,
    fusers={
        "model": ModelFusion(
            _description,
            lambda context: _summarise_prompt(context).text,
            max_tokens=256,
            lead="Description:",
        ),
        "best_of_n": BestOfN(_description, _typical),
    },
    score=_no_score,
    metrics=(),
    prompt_tokens=256,
    generated_tokens=128,
    max_tokens=192,
)
REASON = StageSpec(
    name="reason",
    description="answer from the description",
    prompt=_reason_prompt,
    fusers={"majority": MajorityVote(parse_answer, same=normalise_vqa)},
    score=_score,
    metrics=("accuracy",),
    prompt_tokens=128,
    generated_tokens=256,
    max_tokens=256,
)
