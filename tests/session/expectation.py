# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a command printed what its document shows: words and structure, not figures, dates, digests and versions."""
import re

ANY = "…"
UNITS = r"(?:B|kB|MB|GB|TB|bytes)"
# In this order: a digest may begin with a figure, and a size is a figure with a unit.
VARIABLE = [
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b"), "HASH"),
    (re.compile(rf"(?<![\w.])\d[\d.,]* ?{UNITS}\b"), "SIZE"),
    (re.compile(r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b|\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\b"), "DATE"),
    (re.compile(r"(?<![A-Za-z_])\d[\w.+~:-]*%?"), "N"),
]
# One thing or several: the figure decides.
PLURAL = re.compile(r"\b(change|file|object|package|root|layer|container|finding|delta|generation)s\b")


def plain(line: str) -> str:
    for pattern, name in VARIABLE:
        line = pattern.sub(name, line)
    return " ".join(PLURAL.sub(r"\1", line).split())


def matches(expected: str, printed: str) -> bool:
    pieces = [re.escape(plain(piece)) for piece in expected.split(ANY)]
    pattern = r"\s*.*\s*".join(pieces) if len(pieces) > 1 else pieces[0]
    return re.fullmatch(pattern, plain(printed)) is not None


def difference(expected: list[str], printed: list[str]) -> str | None:
    """None when `printed` is what was expected; otherwise what is not."""
    expected = [line for line in expected if line.strip()]
    printed = [line for line in printed if line.strip()]
    at, skipping = 0, False
    for line in expected:
        if line.strip() == ANY:
            skipping = True
            continue
        found = next((place for place in range(at, len(printed)) if matches(line, printed[place])), None)
        if found is None or (found != at and not skipping):
            got = printed[at] if at < len(printed) else "(nothing more)"
            return f"expected: {line.strip()}\n  printed: {got.strip()}"
        at, skipping = found + 1, False
    if at < len(printed) and not skipping:
        return f"expected: (nothing more)\n  printed: {printed[at].strip()}"
    return None
