"""What texts name exists: modules, classes, functions and attributes of ours, files, folders, links, headings.

Texts are documents, docstrings and comments; dotted names are looked at in the code and the settings, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from tests.sources import ROOT, Tree, comments_and_docstrings

tree = Tree()
PYTHON = [path for path in tree.files if path.suffix == ".py"]
DOCUMENTS = [path for path in tree.files if path.suffix == ".md"]
ENDINGS = (".toml", ".json", ".service", "Makefile")
SETTINGS = [path for path in tree.files if path.name.endswith(ENDINGS) and "vectors" not in path.parts]
TOP_FOLDERS = ("host", "firmware", "boards", "tests", "docs", "packaging")

DOTTED = re.compile(r"(?<![\w./@-])(?:open)?kline(?:\.[A-Za-z_]\w*)+")
PATH = re.compile(r"(?<![\w./:*~$<{-])(?:\.\./)*[\w*-]+(?:/[\w.*-]+)*/?")
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")

# Names of files, and modules that a test writes for itself.
OTHERS = re.compile(r"(open)?kline\.(exe|py|numbers|two|types)\b")
# Parts of a path: to be filled in by a reader, or of a wheel and of MicroPython's own tree (so are .rst files).
NOT_IN_THE_TREE = {"NAME", "MY_BOARD", "_data", "tools"}


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    yield from enumerate((ROOT / path).read_text("utf-8").splitlines(), 1)


def texts_of(path: Path) -> Iterator[tuple[int, str]]:
    if path.suffix == ".py":
        yield from comments_and_docstrings((ROOT / path).read_text("utf-8"))
    else:
        yield from lines_of(path)


def loggers() -> set[str]:
    """Some have names for people, not for modules."""
    texts = "".join((ROOT / path).read_text("utf-8") for path in PYTHON)
    return set(re.findall(r'getLogger\("([\w.]+)"\)', texts))


def test_every_dotted_name_of_ours_exists() -> None:
    wrong = []
    known = loggers()
    for path in (*PYTHON, *DOCUMENTS, *SETTINGS):
        for number, line in lines_of(path):
            for found in DOTTED.finditer(line):
                name = found[0].removesuffix(".__file__")
                missing = tree.resolve(name)
                if missing and name not in known and not OTHERS.match(name):
                    wrong.append(f"{path}:{number}: {found[0]}: {missing}")
    assert not wrong, "\n".join(wrong)


def exists(word: str, beside: Path) -> bool:
    """A file or folder of the tree: from its root, from the text's own folder, or the end of a file's path."""
    word = word.rstrip("/")
    if word.startswith("../"):
        return (ROOT / beside.parent / word).exists()
    if (ROOT / word).exists() or (ROOT / beside.parent / word).exists():
        return True
    if "/" in word and word.split("/")[0] in TOP_FOLDERS:
        return any(fnmatch(str(path), word) for path in tree.files)
    return any(fnmatch(f"/{path}", f"*/{word}") for path in tree.files)


def is_of_the_tree(word: str) -> bool:
    if NOT_IN_THE_TREE & set(word.split("/")) or word.endswith(".rst"):
        return False
    inside = word.removeprefix("../").split("/")[0] in TOP_FOLDERS and "/" in word.rstrip("/")
    return word.endswith(".py") or inside


def test_every_source_path_exists() -> None:
    wrong = []
    for path in (*PYTHON, *DOCUMENTS, *SETTINGS):
        for number, text in texts_of(path):
            for found in PATH.finditer(text):
                word = found[0].rstrip(".")
                if is_of_the_tree(word) and not exists(word, path):
                    wrong.append(f"{path}:{number}: {word}")
    assert not wrong, "\n".join(wrong)


def test_names_in_a_row_of_a_table_are_in_the_folder_of_the_first() -> None:
    """`elm/interpreter.py`, `chip.py`: the second is elm/chip.py."""
    wrong = []
    for path in DOCUMENTS:
        for number, line in lines_of(path):
            folder = ""
            for word in re.findall(r"`([\w/*]+\.py)`", line.split("|")[1]) if line.startswith("|") else ():
                folder = word.rpartition("/")[0] or folder
                name = f"{folder}/{word.rpartition('/')[2]}".lstrip("/")
                if is_of_the_tree(name) and not exists(name, path):
                    wrong.append(f"{path}:{number}: {name}")
    assert not wrong, "\n".join(wrong)


def headings(path: Path) -> set[str]:
    """As the anchors of a page are made: lower case, words joined by "-", punctuation left out."""
    found = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_every_link_leads_somewhere_and_says_where() -> None:
    wrong = []
    for path in DOCUMENTS:
        for number, line in lines_of(path):
            for text, target in LINK.findall(line):
                if "://" in target:
                    continue
                name, _, anchor = target.partition("#")
                place = (ROOT / path.parent / name).resolve() if name else ROOT / path
                if not place.exists():
                    wrong.append(f"{path}:{number}: {target} is not there")
                elif anchor and anchor not in headings(place):
                    wrong.append(f"{path}:{number}: {target}: no such heading")
                elif text.strip("`").endswith(".py") and not f"/{place}".endswith("/" + text.strip("`")):
                    wrong.append(f"{path}:{number}: {text} leads to {target}")
    assert not wrong, "\n".join(wrong)


def test_every_class_that_a_document_names_with_an_attribute_has_it() -> None:
    wrong = []
    for path in DOCUMENTS:
        for number, line in lines_of(path):
            for name, rest in re.findall(r"`([A-Z]\w*)\.([a-z_][\w.]*)(?:\(.*?\))?`", line):
                classes = tree.classes.get(name, [])
                if classes and all(tree.lacks(scope, rest.split(".")[:1]) for scope in classes):
                    wrong.append(f"{path}:{number}: {name}.{rest}")
    assert not wrong, "\n".join(wrong)
