"""Known vulnerabilities of the pinned versions, asked of PyPI and of OSV by pip-audit.

Exit status: 0 none is known, 1 some are (they are printed), 2 neither service could be asked, which
says nothing of the versions.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SERVICES = ("pypi", "osv")


def answer(service: str, pins: Path) -> list[dict[str, Any]] | str:
    """Each package with its vulnerabilities as the service knows them, or why it gave no answer."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "audit.json"
        words = [
            sys.executable, "-m", "pip_audit", "--vulnerability-service", service, "--disable-pip",
            "--no-deps", "--requirement", str(pins), "--format", "json", "--output", str(out),
            "--progress-spinner", "off", "--timeout", "10",
        ]  # fmt: skip
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
        except subprocess.TimeoutExpired:
            return "no answer in 300 s"
        if not out.is_file():
            said = done.stderr.strip().splitlines() or ["pip-audit said nothing"]
            return "no connection" if "ConnectionError" in said[-1] else said[-1][:200]
        packages: list[dict[str, Any]] = json.loads(out.read_text(encoding="utf-8"))["dependencies"]
        return packages


def main() -> int:
    """Print what the first service that can be asked knows."""
    pins, unasked = ROOT / "constraints.txt", []
    for service in SERVICES:
        found = answer(service, pins)
        if isinstance(found, str):
            unasked.append(f"{service}: {found}")
            continue
        bad = [package for package in found if package.get("vulns")]
        for package in bad:
            for known in package["vulns"]:
                fixed = ", ".join(known.get("fix_versions", ())) or "no version"
                print(f"{package['name']} {package['version']}: {known['id']}, fixed in {fixed}")
        # A service that answers "not found" for everything looks like one that knows no harm.
        unknown = [package["name"] for package in found if package.get("skip_reason")]
        if len(unknown) == len(found):
            unasked.append(f"{service}: it knows no package")
            continue
        if unknown:
            print(f"not known to {service}: {', '.join(unknown)}")
        known_of = len(found) - len(unknown)
        print(f"audit: {service} knows {known_of} of {len(found)} versions, {len(bad)} vulnerable")
        return bool(bad)
    why = "; ".join(unasked)
    print(f"audit: nothing was checked, no service could be asked ({why})", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
