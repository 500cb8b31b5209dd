"""The corpus "python": English and code that every Python installation carries."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import os
import sys
import sysconfig
import tokenize
import warnings
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from lib.corpora._base import CorpusError, CorpusNotFoundError, Document

PARTS = ("reference", "docstrings", "sources")
"""What the corpus has, the first one for those who do not say."""

SCHEMA = 1
"""Counts up when what the cache holds changes."""

NOT_LIBRARY = {"site-packages", "dist-packages", "__pycache__", "test", "tests", "idle_test"}
"""Folders of the standard library's place that are not the library, or test it."""

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"


def documents_of_python(part: str, path: object = None) -> tuple[list[Document], str]:
    """The documents of one part, in an order that does not depend on the machine."""
    if path is not None:
        raise CorpusError("the corpus 'python' takes no path: leave it out, or read 'file'")
    if part == "reference":
        topics = language_reference()
        found = [Document(name, partial(str, topics[name])) for name in sorted(topics)]
        return found, f"the language reference of Python {VERSION} (pydoc_data.topics)"
    if part == "docstrings":
        docstrings = cached_docstrings()
        # An object's docstring is held out with its whole module: no neighbour gives it away.
        found = [Document(name, partial("\n\n".join, texts)) for name, texts in docstrings.items()]
        return found, f"the docstrings of Python {VERSION}'s standard library"
    files = source_files()
    found = [Document(name, partial(read_source, file)) for name, file in files.items()]
    return found, f"the source of Python {VERSION}'s standard library"


def language_reference() -> dict[str, str]:
    """Topic to text. Raises `CorpusError` where Python came without it."""
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise CorpusNotFoundError(
            "this Python came without its language reference (pydoc_data): install the whole "
            "standard library (on Debian and Ubuntu: apt install libpython3-stdlib), use a Python "
            "from python.org or conda, or read another corpus"
        ) from None
    return dict(topics)


def source_files() -> dict[str, Path]:
    """The standard library's readable `.py` files: name in the library to file, sorted by name."""
    folder = Path(sysconfig.get_path("stdlib"))
    found: dict[str, Path] = {}
    for place, folders, names in os.walk(folder):
        folders[:] = [
            name for name in folders if name not in NOT_LIBRARY and not name.startswith("config-")
        ]
        for name in names:
            file = Path(place, name)
            # The build configuration tells of the machine, not of Python.
            if file.suffix == ".py" and not name.startswith("_sysconfigdata"):
                found[file.relative_to(folder).as_posix()] = file
    readable = {name: found[name] for name in sorted(found) if _is_readable(found[name])}
    if not readable:
        raise CorpusNotFoundError(
            f"this Python came without the source of its standard library (none in {folder}): use "
            "one from python.org or conda, or read another corpus"
        )
    return readable


def read_source(file: Path) -> str:
    """The text of a Python file in whatever encoding it declares."""
    with tokenize.open(file) as stream:
        return stream.read()


def _is_readable(file: Path) -> bool:
    """Files with a broken encoding, on purpose or not, are left out; so are empty ones."""
    try:
        return bool(read_source(file).strip())
    except (OSError, SyntaxError, UnicodeError, LookupError):
        return False


# --- docstrings -----------------------------------------------------------------------------------


def cached_docstrings() -> dict[str, list[str]]:
    """Module to its docstrings: from the cache, or parsed now (some seconds) and put there."""
    cache = _cache_file()
    if cache is None:
        return parse_docstrings(source_files())
    with suppress(OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        content = json.loads(cache.read_text(encoding="utf-8"))
        docstrings = content["docstrings"]
        if content["schema"] == SCHEMA and content["sha256"] == _digest(docstrings):
            return dict(docstrings)
    docstrings = parse_docstrings(source_files())
    _write(cache, {"schema": SCHEMA, "sha256": _digest(docstrings), "docstrings": docstrings})
    return docstrings


def parse_docstrings(files: dict[str, Path]) -> dict[str, list[str]]:
    """The docstrings of modules, classes and functions, indentation removed, in the order of the
    source; modules without any, or that do not parse, are left out."""
    found: dict[str, list[str]] = {}
    for name, file in files.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(read_source(file))
        except (SyntaxError, ValueError, RecursionError, OSError):
            continue
        texts = [text for text in _docstrings(tree) if text.strip()]
        if texts:
            found[name] = texts
    return found


def _docstrings(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        text = ast.get_docstring(node, clean=False)
        if text:
            yield inspect.cleandoc(text)
    for child in ast.iter_child_nodes(node):
        yield from _docstrings(child)


def _digest(docstrings: dict[str, list[str]]) -> str:
    return hashlib.sha256(json.dumps(docstrings).encode()).hexdigest()


def _cache_file() -> Path | None:
    """Where the docstrings of this very Python are kept; None for users without a home."""
    windows = sys.platform == "win32"
    try:
        root: str | Path = os.environ.get("LOCALAPPDATA" if windows else "XDG_CACHE_HOME") or (
            Path.home() / ("AppData/Local" if windows else ".cache")
        )
    except RuntimeError:
        return None
    library = sysconfig.get_path("stdlib")
    which = hashlib.sha256(library.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return Path(root, "token-by-token", f"docstrings-{VERSION}-{which}-{SCHEMA}.json")


def _write(path: Path, content: object) -> None:
    """Write beside, then rename; where that is not possible, there is just no cache."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_text(json.dumps(content), encoding="utf-8")
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)
