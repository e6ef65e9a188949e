"""Structure-aware chunks of a Markdown record: chunks that stay the same at another prediction time.

A record's dates are all relative to the prediction time, but only the headings of visits and the list of past visits
carry them; the latest values change with each measurement. Such lines are chunks of their own, everything else is cut
at sections and visits:

* a visit's heading and its line in the list have the same words, so they are one chunk, embedded once;
* ``- Sodium (mmol/L): 137 (normal), 131 (low)`` is one chunk a value, each with the name before it, because a value
  that was measured once comes back in many records while the row of the last three hardly ever does;
* the body of a visit, without its heading, has the same text at every later prediction time.

Every word of the record counts once (heading and list marks aside): a chunk's weight is the number of its own tokens,
not of the repeated name, so the weighted mean over chunks is a mean over the record's tokens. The chunks follow from
the text alone.
"""

import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

RULES = 2  # raise it when the chunks of a text change: it is part of the encoder's identity

_TIMED = re.compile(r"\(\d+ days? before prediction time")
_VALUED = re.compile(r"- ([^:]+: )")
_VALUES = re.compile(r"-?\d[\d.]*(?: \([a-z]+\))?(?:, -?\d[\d.]*(?: \([a-z]+\))?)+")
_MARK = re.compile(r"^(?:#+|-)\s+")
_MIN_FILL = 0.25  # of a chunk, before a boundary taken from the content is accepted
_BOUNDARY = 4  # one line in so many is such a boundary


@dataclass(frozen=True)
class Chunk:
    """A piece of a record that is embedded by itself: its text and its weight, the number of its own tokens."""

    text: str
    tokens: int


Count = Callable[[str], int]
Offsets = Callable[[str], list[tuple[int, int]]]


def structure_chunks(text: str, limit: int, count: Count, offsets: Offsets) -> list[Chunk]:
    """Split a Markdown record into chunks of at most ``limit`` tokens, special tokens not counted.

    Args:
        text: the record.
        limit: tokens of a chunk.
        count: number of tokens of a line.
        offsets: character range of each token of a line.
    """
    chunks: list[Chunk] = []
    block: list[str] = []
    in_visit = False
    for line in filter(None, map(str.strip, text.split("\n"))):
        if line.startswith(("# ", "## ", "### ")):
            chunks += _pack(block, limit, count, offsets)
            block = []
            in_visit = line.startswith("### ")
        valued = None if in_visit else _VALUED.match(line)
        if _TIMED.search(line):
            chunks += _pack([_MARK.sub("", line)], limit, count, offsets)
        elif valued:
            chunks += _value_chunks(valued[1], line[valued.end() :], limit, count, offsets)
        else:
            block.append(line)
    return chunks + _pack(block, limit, count, offsets)


def _value_chunks(name: str, values: str, limit: int, count: Count, offsets: Offsets) -> list[Chunk]:
    first, *others = values.split(", ")
    chunks = [Chunk(name + first, count(name + first))]
    chunks += [Chunk(name + value, count(f", {value}")) for value in others]
    if _VALUES.fullmatch(values) and all(count(chunk.text) <= limit for chunk in chunks):
        return chunks
    return _pack([name + values], limit, count, offsets)


def window_texts(text: str, limit: int, offsets: list[tuple[int, int]]) -> list[Chunk]:
    """Split a text into consecutive windows of at most ``limit`` tokens (the paper's ablation).

    A window ends between words where there is a gap in its second half: half a word would be other tokens.
    """
    windows: list[Chunk] = []
    start = 0
    while start < len(offsets):
        stop = min(start + limit, len(offsets))
        if stop < len(offsets):
            gaps = (n for n in range(stop, max(start, stop - limit // 2), -1) if _gap_before(text, offsets[n][0]))
            stop = next(gaps, stop)
        windows.append(Chunk(text[offsets[start][0] : offsets[stop - 1][1]], stop - start))
        start = stop
    return windows


def _gap_before(text: str, position: int) -> bool:
    return text[position - 1 : position + 1].strip() != text[position - 1 : position + 1]


def _pack(lines: Iterable[str], limit: int, count: Count, offsets: Offsets) -> list[Chunk]:
    """Chunks of consecutive lines. A block that fits stays whole; a longer one is cut between lines.

    Cuts fall before category headings and after lines that the line's own text marks (content-defined chunking), so
    that a line added to a long visit changes the chunks around it and not all that follow.
    """
    sized = [piece for line in lines for piece in _fitting(line, limit, count, offsets)]
    total = sum(tokens for _, tokens in sized)
    if total <= limit:
        return [Chunk("\n".join(line for line, _ in sized), total)] if total else []
    chunks: list[Chunk] = []
    current: list[str] = []
    filled = 0
    for line, tokens in sized:
        if filled and (filled + tokens > limit or (line.startswith("#### ") and filled >= _MIN_FILL * limit)):
            chunks.append(Chunk("\n".join(current), filled))
            current, filled = [], 0
        current.append(line)
        filled += tokens
        if filled >= _MIN_FILL * limit and zlib.crc32(line.encode()) % _BOUNDARY == 0:
            chunks.append(Chunk("\n".join(current), filled))
            current, filled = [], 0
    return [*chunks, Chunk("\n".join(current), filled)] if filled else chunks


def _fitting(line: str, limit: int, count: Count, offsets: Offsets) -> list[tuple[str, int]]:
    """The line with its tokens, cut into windows where it alone is longer than a chunk."""
    if (tokens := count(line)) <= limit:
        return [(line, tokens)] if tokens else []
    return [(chunk.text, chunk.tokens) for chunk in window_texts(line, limit, offsets(line))]
