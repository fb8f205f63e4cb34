"""Is what would be released whole, light, and of use outside this checkout?

Run by `make release-check` in an environment that holds `build` and `hatchling`. Builds the sdist
and from it the wheel into dist/, holds their contents against git's list of files, installs the
wheel without extras into an empty environment, and works with it from an empty folder.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import venv
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
ROOMS = ("simulator", "lookup_tables", "collectors", "agents", "harness")
LEFT_OUT = re.compile(r"^\.(?!gitignore$)")
"""What the sdist leaves out on purpose: settings of this repository's own tools."""

HEAVY = {"torch", "vllm", "ray", "pandas", "plotly", "optuna", "openai", "datasets", "smac"}
"""Packages that the light install must neither bring nor import."""


class Wrong(Exception):  # noqa: N818 - one line of what is wrong
    pass


def need(fine: object, line: str) -> None:
    if not fine:
        raise Wrong(line)


def listed() -> set[str]:
    """Files of the project: tracked, or new and not ignored."""
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in done.stdout.splitlines() if (ROOT / name).is_file()}


def some(names: Iterable[str]) -> str:
    held = sorted(names)
    return ", ".join(held[:5]) + (f" and {len(held) - 5} more" if len(held) > 5 else "")


def build() -> tuple[Path, Path]:
    """The sdist, and the wheel built from it."""
    shutil.rmtree(DIST, ignore_errors=True)
    words = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(DIST), str(ROOT)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    need(done.returncode == 0, f"build failed: {(done.stdout + done.stderr)[-1500:]}")
    (sdist,), (wheel,) = DIST.glob("*.tar.gz"), DIST.glob("*.whl")
    return sdist, wheel


def check_sdist(sdist: Path) -> str:
    """It holds the project's files, and nothing else but its metadata."""
    with tarfile.open(sdist) as archive:
        held = {m.name.partition("/")[2] for m in archive.getmembers() if m.isfile()}
    wanted = {name for name in listed() if not LEFT_OUT.match(name)}
    need(not wanted - held, f"the sdist lacks {some(wanted - held)}")
    junk = held - wanted - {"PKG-INFO"}
    need(not junk, f"the sdist holds what is no file of the project: {some(junk)}")
    return f"{sdist.name}: {len(held)} files, {sdist.stat().st_size / 2**20:.1f} MiB"


def check_wheel(wheel: Path) -> str:
    """It holds every file of the rooms, and metadata that agrees with the project's."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (about,) = (n for n in names if n.endswith(".dist-info/METADATA"))
        metadata = archive.read(about).decode()
        points = archive.read(about.replace("METADATA", "entry_points.txt")).decode()
    held = {name for name in names if ".dist-info/" not in name}
    wanted = {name for name in listed() if name.split("/")[0] in ROOMS}
    need(not wanted - held, f"the wheel lacks {some(wanted - held)}")
    need(not held - wanted, f"the wheel holds what is no file of the rooms: {some(held - wanted)}")
    for ending in (".parquet", "task.toml", "CARD.md", "MANIFEST.json", ".j2", ".css", ".js"):
        need(any(name.endswith(ending) for name in held), f"the wheel holds no {ending}")
    with (ROOT / "pyproject.toml").open("rb") as handle:
        project = tomllib.load(handle)["project"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    need(f"\nVersion: {project['version']}\n" in metadata, "the wheel has another version")
    need(f"\nversion: {project['version']}\n" in citation, "CITATION.cff has another version")
    need("License-Expression: Apache-2.0" in metadata, "the wheel does not name its licence")
    need(any(name.endswith("/licenses/LICENSE") for name in names), "the wheel lacks LICENSE")
    need("agenttts = harness.cli:main" in points, "the wheel does not install agenttts")
    return f"{wheel.name}: {len(held)} files, {wheel.stat().st_size / 2**20:.1f} MiB"


class Installed:
    """The wheel alone in an empty environment, used from an empty folder with an empty home."""

    def __init__(self, wheel: Path, folder: Path) -> None:
        venv.create(folder / "env", with_pip=True)
        self.bin, self.folder = folder / "env" / "bin", folder / "elsewhere"
        self.folder.mkdir()
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not re.match(r"PYTHON|VIRTUAL_ENV|AGENTTTS|XDG_|OPENAI", name)
        }
        constraints = str(ROOT / "constraints.txt")
        self.run("python", "-m", "pip", "install", "-q", "-c", constraints, str(wheel))
        self.environment["HOME"] = str(self.folder)

    def run(self, *words: str) -> str:
        """What a command of the environment prints; raises `Wrong` where it fails."""
        done = subprocess.run(
            [str(self.bin / words[0]), *words[1:]], cwd=self.folder, env=self.environment,
            capture_output=True, text=True, timeout=1200, check=False,
        )  # fmt: skip
        shown = " ".join(words)[:100]
        need(done.returncode == 0, f"{shown}: status {done.returncode}: {done.stderr[-1500:]}")
        return done.stdout


def check_light(at: Installed) -> str:
    """Neither installs nor imports what is heavy, and runs from where it was installed."""
    held = json.loads(at.run("python", "-m", "pip", "list", "--format", "json"))
    names = {entry["name"].lower() for entry in held}
    need(not HEAVY & names, f"the light install brings {some(HEAVY & names)}")
    code = (
        f"import json, sys\nimport {', '.join(ROOMS)}\nfrom harness import run_bench, run_search\n"
        f"print(json.dumps([[m.__file__ for m in ({', '.join(ROOMS)})], sorted(sys.modules)]))"
    )
    files, modules = json.loads(at.run("python", "-c", code))
    need(all("site-packages" in file for file in files), f"imported from elsewhere: {files}")
    need(not HEAVY & set(modules), f"importing the rooms imports {some(HEAVY & set(modules))}")
    return f"light install: {len(names)} packages, none of {', '.join(sorted(HEAVY))}"


def check_use(at: Installed) -> str:
    """What the README's reader does first."""
    need("Usage" in at.run("agenttts", "--help"), "agenttts --help shows no usage")
    shipped = {Path(n).parent.name for n in listed() if re.match(r"lookup_tables/.*/task\.toml", n)}
    found = {entry["name"] for entry in json.loads(at.run("agenttts", "tables", "list", "--json"))}
    need(found == shipped, f"tables list differs from the folders in {some(found ^ shipped)}")
    at.run("agenttts", "tables", "verify")
    agents = {entry["name"] for entry in json.loads(at.run("agenttts", "agents", "--json"))}
    need({"insight", "random", "agenttts"} <= agents, f"agents lists {some(agents)} only")
    at.run("agenttts", "search", "math", "--agent", "llm-zero-shot", "--estimate")
    at.run("agenttts", "tables", "make", "--like", "2wiki", "--seed", "1", "--out", "made")
    board = at.run(
        "agenttts", "bench", "--agents", "insight,gp,random", "--tables", "math,made",
        "--seeds", "2", "--trials", "10", "--out", "results",
    )  # fmt: skip
    need("insight" in board and "random" in board, "the bench prints no leaderboard")
    for name in ("index.html", "summary.md", "summary.parquet", "trials.parquet"):
        need((at.folder / "results" / name).stat().st_size > 500, f"the bench left no {name}")
    return f"{len(found)} tables found and verified, a table made, a bench run to its page"


def main() -> int:
    """Print what was checked, or the first thing that is wrong."""
    try:
        sdist, wheel = build()
        print(check_sdist(sdist), flush=True)
        print(check_wheel(wheel), flush=True)
        with tempfile.TemporaryDirectory(prefix="agenttts-release-") as folder:
            at = Installed(wheel, Path(folder))
            print(check_light(at), flush=True)
            print(check_use(at), flush=True)
    except Wrong as wrong:
        print(f"release-check: {wrong}", file=sys.stderr)
        return 1
    print("release-check: ready")
    return 0


if __name__ == "__main__":
    sys.exit(main())
