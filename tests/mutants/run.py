"""Take each rule of the ledger protocol out of a copy of the code, and demand that its tests fail.

    python tests/mutants/run.py [RULE…]

`table.toml` names for each rule the code and the tests; `RULE.patch` takes it out. Exit 1 if a patch no longer
applies, if a test fails without it, or if a mutant survives.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
COPIED = ("pyproject.toml", "worker_image", "operator", "tests")
IGNORED = shutil.ignore_patterns("__pycache__", "node_modules", ".hypothesis", "*.egg-info")
FAILED = 1
"""pytest's exit status when tests ran and some failed; anything else but 0 is an error of ours."""


def copy_tree(to: Path) -> None:
    """Copy what the tests need, nothing that a run leaves behind."""
    to.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=IGNORED)
        else:
            shutil.copy(source, to / name)


def run_tests(tree: Path, tests: list[str]) -> subprocess.CompletedProcess[str]:
    """Run tests of a copy, against the code of that copy."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--timeout", "60", *tests]
    environment = {**os.environ, "PYTHONPATH": str(tree / "worker_image" / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


def judge(rule: str, tests: list[str], scratch: Path) -> str:
    """Say why a mutant was not killed; nothing if it was."""
    tree = scratch / rule
    copy_tree(tree)
    patch = ["git", "apply", "--whitespace=nowarn", str(HERE / f"{rule}.patch")]
    applied = subprocess.run(
        patch,
        cwd=tree,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(scratch)},
        capture_output=True,
        text=True,
        check=False,
    )
    if applied.returncode:
        return f"the patch does not apply: {applied.stderr.strip()}"
    done = run_tests(tree, tests)
    shutil.rmtree(tree)
    if done.returncode == FAILED:
        return ""
    return "SURVIVES" if done.returncode == 0 else f"the tests did not run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"


def main(chosen: list[str]) -> int:
    """Judge the chosen rules, or all; print one line for each and the sum."""
    table: dict[str, dict[str, Any]] = tomllib.loads((HERE / "table.toml").read_text())
    unknown = [*(set(chosen) - table.keys()), *({path.stem for path in HERE.glob("*.patch")} ^ table.keys())]
    if unknown:
        print("not both in table.toml and a patch:", *sorted(unknown))  # noqa: T201 - a command talks
        return 2
    rules = {rule: list(row["tests"]) for rule, row in table.items() if not chosen or rule in chosen}
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        scratch = Path(name)
        copy_tree(scratch / "sound")
        sound = run_tests(scratch / "sound", sorted({test for tests in rules.values() for test in tests}))
        if sound.returncode:
            print("the tests fail without any mutant:\n", sound.stdout[-3000:])  # noqa: T201
            return 1
        with ThreadPoolExecutor(2) as pool:
            verdicts = dict(zip(rules, pool.map(lambda rule: judge(rule, rules[rule], scratch), rules), strict=True))
    for rule, verdict in verdicts.items():
        print(f"{rule:24} {verdict or 'killed'}")  # noqa: T201
    killed = sum(not verdict for verdict in verdicts.values())
    print(f"{killed}/{len(verdicts)} mutants killed")  # noqa: T201
    return 0 if killed == len(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
