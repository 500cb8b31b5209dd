"""Timings against other people's programs: `make bench`, or `python -m tests.bench [name]`."""
