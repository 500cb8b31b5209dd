"""`lib.corpora`: every way to a text, and what happens where there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from lib.corpora import Corpus, CorpusError, CorpusNotFoundError, _file, _python, read
from lib.corpora._base import Document, is_held_out

ROOT = Path(__file__).parents[1]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a small standard library to fill it from."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))
    files = {name: file for name, file in _python.source_files().items() if name < "abd"}
    monkeypatch.setattr(_python, "source_files", lambda: files)
    place = _python._cache_file()
    assert place is not None
    assert place.is_relative_to(tmp_path)
    return place


def one_line(error: pytest.ExceptionInfo[BaseException]) -> str:
    message = str(error.value)
    assert message
    assert "\n" not in message
    return message


# --- the interface --------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["reference", "docstrings", "sources"])
def test_python_has_text(part: str) -> None:
    corpus = read("python", part=part, split="all")
    card = corpus.card()
    least = {"reference": 300_000, "docstrings": 1_000_000, "sources": 8_000_000}[part]
    assert (card["name"], card["part"], card["split"]) == ("python", part, "all")
    assert isinstance(card["bytes"], int)
    assert card["bytes"] > least
    assert card["documents"] == len(corpus) == len(list(corpus)) > 50
    assert all(document.strip() for document in corpus)
    assert len(corpus.text(limit=1000)) == 1000
    assert corpus.text().startswith(corpus.text(limit=1000))


@pytest.mark.parametrize("part", ["reference", "docstrings", "sources"])
def test_splits_are_disjoint_and_cover(part: str) -> None:
    everything, train, held_out = (
        [document.key for document in read("python", part, split).documents]
        for split in ("all", "train", "held_out")
    )
    assert not set(train) & set(held_out)
    assert set(train) | set(held_out) == set(everything)
    assert len(train) + len(held_out) == len(everything) == len(set(everything))
    assert 0.03 < len(held_out) / len(everything) < 0.2
    assert everything == [document.key for document in read("python", part, "all").documents]


def test_splits_are_the_same_everywhere() -> None:
    """Written down once: on every machine and Python these are held out."""
    held_out = [key for key in map(str, range(60)) if is_held_out(key)]
    assert held_out == HELD_OUT
    assert 900 < sum(is_held_out(f"document {i}") for i in range(10_000)) < 1100


HELD_OUT = ["0", "7", "9", "10", "33", "40", "44", "51", "57", "59"]


def test_joining_and_limits() -> None:
    corpus = Corpus("x", "", "all", [Document(key, lambda: "ab") for key in "123"], "here")
    assert corpus.text() == "ab\n\nab\n\nab"
    assert [corpus.text(limit) for limit in (0, 1, 3, 4, 5, 99)] == [
        "", "a", "ab\n", "ab\n\n", "ab\n\na", "ab\n\nab\n\nab"
    ]  # fmt: skip
    assert repr(corpus) == "Corpus(x, all: 3 documents)"
    assert list(corpus) == list(corpus)


def test_wrong_names_say_what_there_is(tmp_path: Path) -> None:
    for name in ("village", "pyhton", ""):
        with pytest.raises(CorpusError, match="there are: python, town, file, hub") as error:
            read(name)
        one_line(error)
    with pytest.raises(CorpusError, match="it has: reference, docstrings, sources"):
        read("python", part="docs")
    with pytest.raises(CorpusError, match="'train', 'held_out', 'all'"):
        read("python", split="test")
    with pytest.raises(CorpusError, match="takes no path"):
        read("python", path=tmp_path)
    with pytest.raises(CorpusError, match="needs a path"):
        read("file")
    with pytest.raises(CorpusError, match="no parts"):
        read("file", part="x", path=tmp_path)


# --- python ---------------------------------------------------------------------------------------


def test_sources_hold_the_library_and_nothing_else() -> None:
    names = list(_python.source_files())
    assert {"argparse.py", "json/decoder.py"} <= set(names)
    assert names == sorted(names)
    folders = {folder for name in names for folder in name.split("/")[:-1]}
    assert not folders & {"site-packages", "dist-packages", "test", "tests", "idle_test"}
    assert not [name for name in names if "sysconfigdata" in name]


def test_odd_encodings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "latin.py").write_bytes("# coding: latin-1\nname = 'é'\n".encode("latin-1"))
    (tmp_path / "broken.py").write_bytes(b"name = '\xe9'\n")
    (tmp_path / "unknown.py").write_bytes(b"# coding: klingon\n")
    (tmp_path / "empty.py").write_bytes(b"\n")
    (tmp_path / "syntax.py").write_bytes(b'"""Text."""\ndef f(:\n')
    (tmp_path / "good.py").write_bytes(
        b'"""Module."""\nclass A:\n    """Class.\n\n      More.\n    """\n'
        b'    async def f(self):\n        """Method."""\n        def g():\n            "Inner."\n'
        b'def h():\n    return 1\n"""No docstring."""\n'
    )
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    files = _python.source_files()
    assert list(files) == ["good.py", "latin.py", "syntax.py"]
    assert "é" in _python.read_source(files["latin.py"])
    assert _python.parse_docstrings(files) == {
        "good.py": ["Module.", "Class.\n\nMore.", "Method.", "Inner."]
    }
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path / "nowhere"))
    with pytest.raises(CorpusNotFoundError, match="without the source") as error:
        read("python", part="sources")
    one_line(error)


def test_a_python_without_its_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    monkeypatch.setitem(sys.modules, "pydoc_data", None)
    with pytest.raises(CorpusError, match="came without its language reference") as error:
        read("python")
    assert isinstance(error.value, FileNotFoundError)
    assert isinstance(error.value, ValueError)
    one_line(error)


def test_docstrings_are_cached(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = list(read("python", "docstrings", "all"))
    assert [file.name for file in cache.parent.iterdir()] == [cache.name]
    monkeypatch.setattr(_python, "parse_docstrings", lambda files: pytest.fail("parsed again"))
    assert list(read("python", "docstrings", "all")) == first


def test_a_broken_cache_is_made_anew(cache: Path) -> None:
    first = list(read("python", "docstrings", "all"))
    whole = cache.read_bytes()
    changed = json.loads(whole)
    changed["docstrings"]["abc.py"][0] += "!"
    old = whole.replace(b'"schema": 1', b'"schema": 0')
    cut = [whole[:-1], whole[: len(whole) // 2], b"", b"{"]
    odd = [b"\xff\xfe", b"[]", b"null", b'{"schema": 1}', b"[" * 100_000]
    for content in (*cut, *odd, old, json.dumps(changed).encode()):
        cache.write_bytes(content)
        assert list(read("python", "docstrings", "all")) == first
        assert cache.read_bytes() == whole


def test_without_a_cache_it_works_as_well(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert len(read("python", "docstrings", "all")) > 0
    (tmp_path / "cache").unlink()

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.replace", full)
    assert len(read("python", "docstrings", "all")) > 0
    assert list(cache.parent.iterdir()) == []

    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("LOCALAPPDATA")
    monkeypatch.setattr("pathlib.Path.home", homeless)
    assert len(read("python", "docstrings", "all")) > 0


def test_in_a_virtual_environment_without_packages(tmp_path: Path) -> None:
    """Neither torch nor anything else is needed, and the library is found from a venv."""
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    code = (
        "from lib.corpora import read\n"
        "for part in ('reference', 'sources'):\n"
        "    corpus = read('python', part, 'held_out')\n"
        "    print(len(corpus), [d.key for d in corpus.documents][:3])\n"
    )
    run = subprocess.run([python, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    expected = [read("python", part, "held_out") for part in ("reference", "sources")]
    assert run.stdout.splitlines() == [
        f"{len(corpus)} {[d.key for d in corpus.documents][:3]}" for corpus in expected
    ]


# --- file -----------------------------------------------------------------------------------------


def test_a_file_is_its_paragraphs(tmp_path: Path) -> None:
    file = tmp_path / "story"
    file.write_bytes("\ufeffOne\r\nstill one\r\n \r\n\r\nZwei — é\n\n\nthree".encode())
    corpus = read("file", path=file, split="all")
    assert list(corpus) == ["One\nstill one", "Zwei — é", "three"]
    assert corpus.card()["origin"] == f"the file {file}"


def test_a_paragraph_stays_in_its_split(tmp_path: Path) -> None:
    file = tmp_path / "story.txt"
    texts = [f"paragraph {i}" for i in range(200)]
    file.write_text("\n\n".join(texts))
    held_out = list(read("file", path=file, split="held_out"))
    assert 5 < len(held_out) < 40
    file.write_text("\n\n".join(["new at the start", *texts]))
    assert set(held_out) <= set(read("file", path=str(file), split="held_out"))


def test_a_folder_is_its_files(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "a.txt").write_text("a\n\nstill a")
    (tmp_path / "b" / "c.MD").write_text("c")
    (tmp_path / "b" / "empty.txt").write_text("")
    for other in ("b/data.jsonl", "b/image.png", ".hidden/d.txt", ".e.txt"):
        (tmp_path / other).write_bytes(b"\xff no")
    corpus = read("file", path=tmp_path, split="all")
    assert [document.key for document in corpus.documents] == ["a.txt", "b/c.MD"]
    assert list(corpus) == ["a\n\nstill a", "c"]


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(path: Path, says: str, kind: type[CorpusError] = CorpusError) -> None:
        with pytest.raises(kind, match=says) as error:
            read("file", path=path)
        assert str(path.name) in one_line(error)

    fails(tmp_path / "nowhere.txt", "there is no file or folder", CorpusNotFoundError)
    fails(tmp_path, "holds no text files", CorpusNotFoundError)
    bad = tmp_path / "bad.txt"
    bad.write_bytes(b"caf\xe9")
    fails(bad, "is not UTF-8 .byte 0xe9 at position 3.: save it as UTF-8")
    with pytest.raises(CorpusError, match=r"bad\.txt is not UTF-8"):
        read("file", path=tmp_path)  # a folder with one bad file says so at once
    bad.write_text(" \n\n ")
    fails(bad, "is empty")
    bad.write_text("")
    with pytest.raises(CorpusError, match="are empty"):
        read("file", path=tmp_path)

    def forbidden(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", forbidden)
    fails(bad, r"cannot be read \(Permission denied\): check its permissions")

    def gone(self: Path) -> bytes:
        raise FileNotFoundError(2, "No such file or directory", str(self))

    monkeypatch.setattr(Path, "read_bytes", gone)
    with pytest.raises(CorpusNotFoundError, match="is gone"):
        _file.read_text(bad)


def test_a_split_without_documents(tmp_path: Path) -> None:
    file = tmp_path / "short.txt"
    file.write_text("hello")
    split = "train" if is_held_out("hello") else "held_out"
    with pytest.raises(CorpusError, match="read split='all'") as error:
        read("file", path=file, split=split)
    one_line(error)
    assert list(read("file", path=file, split="all")) == ["hello"]
