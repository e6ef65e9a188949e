"""Downloads: offered to those who may, and written to the audit log when taken."""

from collections.abc import Callable

import streamlit as st

from pages.shared import audit


def button(
    label: str,
    data: str | bytes | Callable[[], str | bytes],
    file_name: str,
    mime: str,
    key: str,
    subject_id: int | None = None,
    image_sha256: str = "",
    page: str = "",
) -> bool:
    """Draw a download button; a role that may not download sees it disabled and gets no data.

    Args:
        label: what it downloads.
        data: the content, or a function that makes it at the click.
        file_name: must not hold an id; use the pseudonym or a hash.
        mime: media type.
        key: unique on the page.
        subject_id: the subject that the file is about, for the audit log.
        image_sha256: the image that the file is about, for the audit log.
        page: the page's name, for the audit log.
    """
    if not audit.identity().may("download"):
        return st.button(
            label,
            icon=":material/download:",
            key=key,
            disabled=True,
            help="Downloads need the role researcher.",
        )

    def taken() -> None:
        audit.record("export", subject_id, image_sha256, format=file_name.rpartition(".")[2], page=page)

    return st.download_button(label, data, file_name, mime, key=key, icon=":material/download:", on_click=taken)
