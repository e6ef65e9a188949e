"""Errors on a page: what the user can mend is said in a sentence, anything else gets an id that the log explains."""

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import ParamSpec, TypeVar

import streamlit as st

from core.ehr.escape import escape_markdown
from core.errors import ChartlightError
from pages.shared import audit, dates

log = logging.getLogger("chartlight")
P = ParamSpec("P")
R = TypeVar("R")


def show(error: ChartlightError) -> None:
    """Show a mendable error: what is wrong, and below it how to fix it."""
    what = dates.clear(error.what[:1].upper() + error.what[1:])
    fix = dates.clear(error.fix[:1].upper() + error.fix[1:])
    with st.container(border=True):
        st.markdown(f":material/error: **{plain(what)}**")
        st.markdown(f"{plain(fix)}.")


def plain(text: str) -> str:
    """Return ``text`` so that Streamlit's Markdown shows it as it is: for every text that comes from data."""
    return escape_markdown(text)


@contextmanager
def guard() -> Iterator[None]:
    """Run a page or a part of one; show what goes wrong in place of it.

    Streamlit's own control flow (stop, rerun) is not an ``Exception`` and passes through.
    """
    try:
        yield
    except ChartlightError as error:
        show(error)
    except Exception:
        reference = secrets.token_hex(4)
        log.exception("error %s", reference)
        with suppress(ChartlightError):  # a log that cannot be written is said where something would be shown
            audit.record("error", error_id=reference)
        with st.container(border=True):
            st.markdown(":material/error: **Something went wrong on our side.**")
            st.markdown(f"The log explains it under the id `{reference}`. Reload the page or go on elsewhere.")


def guarded(function: Callable[P, R]) -> Callable[P, R | None]:
    """:func:`guard` as a decorator, for fragments: they run again without the page around them."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R | None:
        with guard():
            return function(*args, **kwargs)
        return None

    return run
