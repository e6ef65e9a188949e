"""Tab Export: figure, raw maps, mask, overlays and manifest as one zip."""

import shlex

import streamlit as st

from core.imaging.export import explanation_files, zip_files
from core.imaging.figures import draw_figure
from core.imaging.volumes import KINDS
from pages.shared import downloads
from pages.shared.imaging import evidence, options
from pages.shared.imaging.case import Case


def volume_command(case: Case, layer: str) -> str:
    """The command that explains every slice of the case's volume as this one is explained."""
    chosen = case.source.image.chosen
    line = ["python", "-m", "core", "explain", "VOLUME.nii.gz", "--all-slices", "--model", case.segmenter.name]
    line += ["--class", str(case.class_index), "--region", str(case.region), "--show", layer]
    line += ["--axis", str(chosen["axis"]), "--volume", str(chosen["volume"]), "--out", "DIR"]
    return shlex.join(line)


def show(case: Case) -> None:
    """Draw the tab."""
    name = options.layer(case)
    chosen = options.display_so_far(case)
    st.space(4)
    found = evidence.measured(case, name)  # now: the zip is made outside of the session
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        formats = st.segmented_control(
            "Figure as",
            ["png", "svg", "pdf"],
            selection_mode="multi",
            default=["png"],
            key="im-figures",
            persist_state="session",
        )
        downloads.button(
            "Download all (zip)",
            lambda: zip_files(
                explanation_files(
                    case.segmenter,
                    case.source.image,
                    case.result,
                    name,
                    chosen,
                    figures=tuple(formats or ()),
                    evidence=found,
                    extra={"drawn_sample": case.source.drawn},
                )
            ),
            f"explanation-{case.source.image.sha256[:12]}.zip",
            "application/zip",
            "im-zip",
            image_sha256=case.source.image.sha256,
            page="imaging",
        )
    st.caption(
        "The zip holds the raw signed maps of all layers (NPZ, native size), the mask with a class index per pixel, "
        "both overlays, the figure, and a manifest: hashes of image and weights, layer, region, each display step, "
        "versions, and the evidence measured so far. Nothing of the file's name or header is in it."
    )
    if case.source.image.available.slices and case.region.kind in KINDS:
        st.caption("All slices of this volume, mask and maps as NIfTI on its own voxels, by the command line:")
        st.code(volume_command(case, name), language="bash", wrap_lines=True)
    st.image(
        draw_figure(case.segmenter, case.source.image, case.result, name, chosen, "png", dpi=150),
        alt="The figure as it is exported",
        width="stretch",
    )
