"""Commit subjects have at most 72 characters:  python -m tests.lint_commits [--message FILE]

Without FILE, the subjects of the commits that origin/main (else main) has not. One line per finding on stdout; exit
status 1 on any. Where there is no git, or no such branch, nothing is checked.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LONGEST = 72


def git(*words: str) -> str | None:
    """What git says; None where it fails or isn't there."""
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def new_subjects() -> list[str]:
    for base in ("origin/main", "main"):
        if git("rev-parse", "--verify", "--quiet", base) is not None:
            return (git("log", "--no-merges", "--format=%s", f"{base}..HEAD") or "").splitlines()
    return []


def subject_of(message: str) -> str:
    """The first line of a commit message that isn't one of git's comments."""
    return next((line for line in message.splitlines() if line.strip() and not line.startswith("#")), "")


def findings(subjects: list[str]) -> list[str]:
    return [
        f"commit subject of {len(subject)} characters, {LONGEST} at most: {subject}"
        for subject in subjects
        if len(subject) > LONGEST
    ]


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--message"] and len(arguments) == 2:
        found = findings([subject_of(Path(arguments[1]).read_text(encoding="utf-8"))])
    elif not arguments:
        found = findings(new_subjects())
    else:
        print(__doc__, file=sys.stderr)
        return 2
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
