"""The garbage collector of a process that serves pages: libraries are not walked again and again.

Streamlit asks for a full collection after every run of a page. With torch, plotly and scikit-learn loaded that is a
million objects and a quarter of a second in which no session runs, two thirds of what a page costs. The request is
off (``runner.postScriptGC``), and what the libraries have built is taken out of the collector's sight, so that
Python's own collections walk what sessions leave behind and nothing else.
"""

import gc
import sys
import threading

MODULES = 60
"""New modules after which what they built is set aside too."""

_lock = threading.Lock()
_known = 0


def settle() -> None:
    """Set aside what stands for the life of the process, if libraries have been loaded since the last time.

    The frame calls it on every run; it costs something only a few times in the life of a process. A cycle that happens
    to be garbage at that moment is collected first.
    """
    global _known
    if len(sys.modules) < _known + MODULES or not _lock.acquire(blocking=False):
        return
    try:
        gc.collect()
        gc.freeze()
        _known = len(sys.modules)
    finally:
        _lock.release()
