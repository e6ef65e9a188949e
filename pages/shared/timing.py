"""Moments of a page's work in the server's log, where the settings ask for them: ``embedded 1795545600.123456``."""

import sys
import time

from core.settings import get_settings


def note(what: str) -> None:
    """Write that ``what`` has just ended, in seconds since 1970; nothing without ``CHARTLIGHT_TIMINGS``."""
    if get_settings().timings:
        print(f"{what} {time.time():.6f}", file=sys.stderr, flush=True)
