"""Subjects that are too long are named; comments and blank lines of git's own are not taken for one."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import lint_commits as lint


def test_a_subject_may_have_72_characters_and_no_more(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    message = tmp_path / "COMMIT_EDITMSG"
    message.write_text("ä" * 72 + "\n\nA long line of the body is fine: " + "x" * 100 + "\n", encoding="utf-8")
    assert lint.main(["--message", str(message)]) == 0
    message.write_text("x" * 73 + "\n", encoding="utf-8")
    assert lint.main(["--message", str(message)]) == 1
    assert capsys.readouterr().out == f"commit subject of 73 characters, 72 at most: {'x' * 73}\n"


def test_the_subject_is_the_first_line_that_is_no_comment() -> None:
    assert lint.subject_of("\n# Please enter the message\nShort\n\nBody\n") == "Short"
    assert lint.subject_of("# nothing but comments\n") == ""


def test_unknown_arguments_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert lint.main(["--mesage", "x"]) == 2
    assert "python -m tests.lint_commits" in capsys.readouterr().err
