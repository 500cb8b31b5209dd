"""The course from the command line: python -m lib.course tour."""

from __future__ import annotations

import argparse
import sys

TOUR = """\
The whole arc in one run, without a notebook: a model that knows nothing learns to tell stories; a
larger one learns to answer, and then what is liked; a part of it learns from the whole, and guesses
for it while it writes; and a detector finds out which stories were written with a secret key. It
takes four minutes on two cores, needs no network, and runs on the functions that `lib` holds now:
those that you have passed are yours.

A page about it, pictures and all, is written at the end: FOLDER/report.html, and its numbers beside
it. Ctrl-C stops at any moment and leaves nothing behind."""


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m lib.course", description="What the course can do without a notebook."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    command = commands.add_parser(
        "tour", help="train, align, distil, decode, watermark, detect: the whole arc in one run",
        description=TOUR, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    command.add_argument(
        "--out", default="tour", metavar="FOLDER",
        help="where the page goes (%(default)s, in the current folder)",
    )  # fmt: skip
    command.add_argument(
        "--seed", type=int, default=0, metavar="N",
        help="another number, other texts to learn from and other chance (%(default)s)",
    )  # fmt: skip
    command.add_argument(
        "--short", action="store_true",
        help="a few steps a stage, half a minute in all: to see that it runs",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    if options.seed < 0:
        command.error(f"a seed is a whole number from 0 on, got {options.seed}")
    try:
        return _tour(options)
    except KeyboardInterrupt:
        print("Stopped; nothing was written.", file=sys.stderr)
        return 130


def _tour(options: argparse.Namespace) -> int:
    from lib.course._tour_report import PlaceError
    from lib.course.tour import run

    try:
        page = run(options.out, options.seed, options.short)
    except PlaceError as error:
        print(f"python -m lib.course tour: {error}", file=sys.stderr)
        return 2
    print(f"The page is {page}: open it in a browser.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
