"""Progress of long work, independent of where it is shown.

Core functions take ``progress: Progress | None``. The command line passes :func:`terminal_bar`, a page passes
an adapter that draws a Streamlit progress bar.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

Progress = Callable[[int, int, str], None]
"""Called with (done, total, note). ``total`` is 0 while it is unknown."""


def silent(done: int, total: int, note: str = "") -> None:
    """Show nothing."""


@contextmanager
def terminal_bar(description: str, unit: str = "it") -> Iterator[Progress]:
    """Yield a progress callback that draws a bar on stderr when that is a terminal."""
    scale = unit == "B"  # bytes as MB and GB
    hidden = None if sys.stderr else True  # None: unless it is a terminal; a service may have none at all
    with tqdm(
        desc=description, unit=unit, unit_scale=scale, file=sys.stderr, disable=hidden, dynamic_ncols=True
    ) as bar:

        def show(done: int, total: int, note: str = "") -> None:
            bar.total = total or None
            if note:
                bar.set_postfix_str(note, refresh=False)
            bar.update(done - bar.n)

        yield show
