"""The corpus "file": a text file of the learner's, or a folder of text files."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from lib.corpora._base import CorpusError, CorpusNotFoundError, Document

SUFFIXES = (".txt", ".text", ".md", ".rst")
"""Which files of a folder are text. A file that is named itself may be called anything."""


def documents_of_files(part: str, path: str | Path | None) -> tuple[list[Document], str]:
    """The documents under `path`: the files of a folder, or the paragraphs of one file.

    Paragraphs are parted by blank lines. The key of a file is its place in the folder, the key of a
    paragraph its text: so a text stays in its split when something is added in front of it.
    """
    if path is None:
        raise CorpusError("the corpus 'file' needs a path: read('file', path='my_text.txt')")
    path = Path(path).expanduser()
    if path.is_dir():
        files = sorted(
            (file for file in path.rglob("*") if _is_text(file, path)),
            key=lambda file: file.relative_to(path).as_posix(),
        )
        if not files:
            raise CorpusNotFoundError(
                f"{path} holds no text files ({', '.join(SUFFIXES)}): put some there, or name one "
                "file itself"
            )
        documents = [
            Document(file.relative_to(path).as_posix(), partial(read_text, file))
            for file in files
            if file.stat().st_size > 0
        ]
        if not documents:
            raise CorpusError(f"all text files in {path} are empty: expected some text")
        for document in documents:
            document.load()  # a file that is no text should say so now, not in mid-training
        return documents, f"the {len(documents)} text files in {path}"
    if not path.exists():
        raise CorpusNotFoundError(f"there is no file or folder {path} (looked from {Path.cwd()})")
    paragraphs = _paragraphs(read_text(path))
    if not paragraphs:
        raise CorpusError(f"{path} is empty: expected some text")
    return [Document(text, partial(str, text)) for text in paragraphs], f"the file {path}"


def read_text(path: Path) -> str:
    """A file's text, its line ends as \\n, without a byte order mark. `CorpusError` says what is
    wrong with it."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise CorpusNotFoundError(f"{path} is gone: it was there before") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CorpusError(f"{path} cannot be read ({reason}): check its permissions") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path} is not UTF-8 (byte {raw[error.start]:#04x} at position {error.start}): save "
            "it as UTF-8 text"
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _is_text(file: Path, folder: Path) -> bool:
    hidden = any(step.startswith(".") for step in file.relative_to(folder).parts)
    return file.suffix.lower() in SUFFIXES and not hidden and file.is_file()


def _paragraphs(text: str) -> list[str]:
    """Runs of lines between blank lines."""
    paragraphs: list[list[str]] = [[]]
    for line in text.split("\n"):
        if line.strip():
            paragraphs[-1].append(line)
        elif paragraphs[-1]:
            paragraphs.append([])
    return ["\n".join(lines) for lines in paragraphs if lines]
