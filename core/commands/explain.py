"""Explain a segmentation: raw maps of all layers, mask, overlays and a manifest."""

import argparse
import json
import re
from pathlib import Path
from typing import Any

HELP = "explain a segmenter's decision on an image with Seg-Grad CAM and Seg-HiRes-Grad CAM"
_ASKED = (
    "class_index", "region", "layers", "show", "signed", "palette", "own_scale", "zoom", "figure", "evidence",
    "frame", "axis", "slice", "volume", "all_slices", "window",
)  # fmt: skip
_OF_ONE_SLICE: dict[str, Any] = {
    "slice": None, "layers": "all", "figure": "", "evidence": False, "window": None, "signed": False,
    "palette": "", "own_scale": False, "zoom": 1.0,
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("image", nargs="?", type=Path, metavar="IMAGE", help="PNG, JPEG, TIFF, DICOM or NIfTI file")
    parser.add_argument("--batch", type=Path, metavar="FOLDER", help="explain every image of a folder instead")
    parser.add_argument("--model", required=True, help="name of a segmenter, or its folder")
    parser.add_argument("--class", dest="class_index", type=int, default=1, metavar="INDEX", help="class (default 1)")
    parser.add_argument(
        "--region",
        default="mask",
        help="mask, image, uncertain, pixel:X,Y, box:X0,Y0,X1,Y1, component:X,Y, false_positives, false_negatives "
        "(default mask)",
    )
    parser.add_argument(
        "--ground-truth",
        type=Path,
        metavar="PATH",
        help="mask image with class indices (same size); with --all-slices a label volume on the same voxels; with "
        "--batch a folder of masks named like the images",
    )
    parser.add_argument("--layers", default="all", metavar="NAMES", help="all, or layer names separated by commas")
    parser.add_argument("--show", metavar="LAYER", help="layer of the overlays (default: the middle of the decoder)")
    parser.add_argument("--signed", action="store_true", help="keep negative evidence in the overlays")
    parser.add_argument("--palette", default="", help="colour map of the overlays")
    parser.add_argument("--own-scale", action="store_true", help="scale each overlay by its own maximum")
    parser.add_argument("--zoom", type=float, default=1.0, help="magnify the figure's part around the region")
    parser.add_argument("--figure", default="", metavar="FORMATS", help="figures to make: png,svg,pdf")
    parser.add_argument("--evidence", action="store_true", help="measure deletion and insertion at the shown layer")
    parser.add_argument("--frame", type=int, default=0, help="frame of a multi-frame file, from 0")
    parser.add_argument("--axis", choices=("sagittal", "coronal", "axial"), help="slice axis of a NIfTI volume")
    parser.add_argument("--slice", type=int, help="slice of a NIfTI volume, from 0 (default: the middle)")
    parser.add_argument(
        "--all-slices", action="store_true", help="explain a NIfTI volume: mask and maps as NIfTI on its own voxels"
    )
    parser.add_argument("--volume", type=int, default=0, help="volume of a 4-D NIfTI file, from 0")
    parser.add_argument(
        "--window",
        help="intensity for the eye: percentile, full, 'preset N', lung, bone, ... or CENTRE,WIDTH",
    )
    parser._negative_number_matcher = re.compile(r"^-\.?\d")  # or argparse takes -600,1500 for an option
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="output folder")


def run(args: argparse.Namespace) -> None:
    """Explain one image, or each image of a folder."""
    from core.errors import InputError
    from core.imaging.segmenters import load_segmenter

    if (args.image is None) == (args.batch is None):
        raise InputError("there is no single source of images", "give either IMAGE or --batch FOLDER")
    figure_formats(args)  # before the work, of which a batch has much
    segmenter = load_segmenter(args.model)
    if args.batch is None:
        summary = explain_file(args, segmenter, args.image, args.ground_truth, args.out)
        print(json.dumps(summary, indent=2))
        return
    explain_folder(args, segmenter)


def explain_file(args: argparse.Namespace, segmenter: Any, path: Path, mask: Path | None, out: Path) -> dict[str, Any]:
    """Explain one file, against its ground truth if it has one, and write its folder; returns a summary."""
    from core.imaging.cams import explain
    from core.imaging.export import empty_files, explanation_files, write_folder
    from core.imaging.faithfulness import deletion_insertion
    from core.imaging.ground_truth import dice_by_class, place_of, read_ground_truth, require_size
    from core.imaging.matching import slice_axis
    from core.imaging.readers import read_image
    from core.imaging.regions import EmptyRegionError, parse_region
    from core.imaging.segmenters import segment
    from core.progress import terminal_bar

    if args.all_slices:
        return explain_slices(args, segmenter, path, mask, out)
    options, (layers, shown) = display_options(args), chosen_layers(args, segmenter)
    data = read_bytes(path)
    image = read_image(
        data,
        frame=args.frame,
        axis=slice_axis(segmenter.card, args.axis),
        slice=args.slice,
        volume=args.volume,
        window=parse_window(args.window),
        name=path.name,
    )
    truth = None
    if mask:
        truth = read_ground_truth(read_bytes(mask), len(segmenter.classes), **place_of(image))
        require_size(truth, image.size)
    region = parse_region(args.region, truth)

    def extra(found: Any) -> dict[str, Any]:
        asked = {"request": request(args, segmenter, data, mask)}
        dice = {} if truth is None else dice_by_class(found.mask, truth, segmenter.classes)
        return asked | ({"ground_truth": {"dice": dice}} if dice else {})

    try:
        result = explain(segmenter, image, region, args.class_index, layers)
    except EmptyRegionError as empty:
        if args.batch is None:
            raise
        # an image in which nothing of the class was found is the worst of a batch: its Dice belongs to the table
        segmentation = segment(segmenter, image)
        files = empty_files(segmenter, image, segmentation, empty, extra(segmentation))
        write_folder(files, out)
        return {"out": str(out), "n_pixels": 0, "files": list(files)}
    evidence = {}
    if args.evidence:
        with terminal_bar("evidence", "image") as progress:
            evidence["deletion_insertion"] = deletion_insertion(
                segmenter, image, result, shown, progress=progress
            ).describe()
    files = explanation_files(
        segmenter,
        image,
        result,
        shown,
        options,
        figures=figure_formats(args),
        evidence=evidence,
        extra=extra(result.segmentation),
    )
    write_folder(files, out)
    return {
        "out": str(out),
        "score": result.score,
        "n_pixels": result.n_pixels,
        "mean_probability": result.mean_probability,
        "layers": list(result.maps),
        "shown_layer": shown,
        "files": list(files),
    }


def display_options(args: argparse.Namespace) -> Any:
    """How the overlays are drawn.

    Raises:
        InputError: a palette that is none or none of the kind, or a zoom out of range.
    """
    from core.errors import InputError
    from core.imaging.display import DisplayOptions
    from core.imaging.palettes import DIVERGING, SEQUENTIAL

    palettes = DIVERGING if args.signed else SEQUENTIAL
    if args.palette and args.palette not in palettes:
        raise InputError(
            f"there is no palette {args.palette!r} for these maps", f"choose one of {', '.join(palettes)}"
        )
    return DisplayOptions(
        signed=args.signed,
        scale="own" if args.own_scale else "shared",
        palette=args.palette or palettes[0],
        zoom=args.zoom,
    )


def figure_formats(args: argparse.Namespace) -> tuple[str, ...]:
    """The formats of ``--figure``.

    Raises:
        InputError: one that cannot be made.
    """
    from core.errors import InputError
    from core.imaging.figures import FORMATS

    asked = tuple(kind.strip().lower() for kind in args.figure.split(",") if kind.strip())
    if wrong := [kind for kind in asked if kind not in FORMATS]:
        raise InputError(f"there is no figure format {wrong[0]!r}", f"choose from {', '.join(FORMATS)}")
    return asked


def chosen_layers(args: argparse.Namespace, segmenter: Any) -> tuple[list[str] | None, str]:
    """The layers to explain, None for all, and the one to show.

    Raises:
        InputError: there is no such layer, or the one to show is not explained.
    """
    from core.errors import InputError
    from core.imaging.cams import check_layers
    from core.imaging.layers import default_layer

    layers = None if args.layers.strip() == "all" else [name.strip() for name in args.layers.split(",")]
    names = check_layers(segmenter, layers)
    if not args.show:
        return layers, default_layer(names)
    check_layers(segmenter, [args.show])
    if args.show not in names:
        raise InputError(f"the layer {args.show} is not among --layers", "add it there, or leave --show out")
    return layers, args.show


def explain_slices(
    args: argparse.Namespace, segmenter: Any, path: Path, mask: Path | None, out: Path
) -> dict[str, Any]:
    """Explain every slice of a volume, against its labels if it has some, and write its folder; returns a summary."""
    from core.errors import InputError
    from core.imaging.export import write_folder
    from core.imaging.ground_truth import read_truth_volume
    from core.imaging.readers.nifti import open_volume
    from core.imaging.regions import parse_region
    from core.imaging.volumes import explain_volume, volume_files
    from core.progress import terminal_bar

    if given := [name for name, usual in _OF_ONE_SLICE.items() if getattr(args, name) != usual]:
        raise InputError(f"--{given[0].replace('_', '-')} is about one slice", "leave it or --all-slices out")
    data = read_bytes(path)
    truth = None
    if mask:
        truth = read_truth_volume(read_bytes(mask), open_volume(data, args.volume), len(segmenter.classes))
    with terminal_bar("explain", "slice") as progress:
        found = explain_volume(
            segmenter,
            data,
            parse_region(args.region, truth),
            args.class_index,
            args.show,
            args.axis,
            args.volume,
            progress,
            truth,
        )
    if found.empty and args.batch is None:
        raise found.empty
    files = volume_files(segmenter, found, {"request": request(args, segmenter, data, mask)})
    write_folder(files, out)
    return {
        "out": str(out),
        "score": found.score,
        "slices": len(found.slices),
        "axis": found.axis,
        "shown_layer": found.layer,
        **({"dice": found.dice} if mask else {}),
        "files": list(files),
    }


def parse_window(text: str | None) -> str | tuple[float, float] | None:
    """A window as one types it: a name, or centre and width with a comma between.

    Raises:
        InputError: two numbers were meant and are none.
    """
    from core.errors import InputError

    if text is None or "," not in text:
        return text
    try:
        centre, width = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"the window {text!r} is none", "give CENTRE,WIDTH, for example 40,400") from None
    return centre, width


def explain_folder(args: argparse.Namespace, segmenter: Any) -> None:
    """Explain every image of a folder; finished ones are left alone, images that cannot be are listed."""
    import sys

    from core.errors import InputError
    from core.imaging.batch import explain_all, images_of, masks_of
    from core.imaging.batch_table import write_table
    from core.progress import terminal_bar

    images = images_of(args.batch, args.out)
    masks = masks_of(args.ground_truth, images) if args.ground_truth else {}
    with terminal_bar("explain", "image") as progress:
        outcome = explain_all(
            images,
            args.out,
            lambda path: request(args, segmenter, read_bytes(path), masks.get(path)),
            lambda path, out: explain_file(args, segmenter, path, masks.get(path), out),
            progress,
            lambda name, message: print(f"{name}: {message}", file=sys.stderr),
        )
    if outcome.finished:
        write_table(args.out, outcome.finished, outcome.failed)
    summary = {
        "explained": len(outcome.explained),
        "already_done": len(outcome.already_done),
        "failed": [{"image": name, "error": message} for name, message in outcome.failed.items()],
        "out": str(args.out),
    }
    if args.ground_truth:
        summary["without_ground_truth"] = [path.name for path in images if path not in masks]
    print(json.dumps(summary, indent=2))
    if not outcome.finished:
        raise InputError("no image could be explained", "see the messages above")


def request(args: argparse.Namespace, segmenter: Any, data: bytes, mask: Path | None) -> dict[str, Any]:
    """What was asked, by content: a finished folder with the same request need not be made again."""
    import hashlib

    from core.imaging.matching import slice_axis
    from core.versions import own_version

    asked: dict[str, Any] = {name: getattr(args, name) for name in _ASKED}
    asked["axis"] = slice_axis(segmenter.card, args.axis)
    asked["image_sha256"] = hashlib.sha256(data).hexdigest()
    asked["weights_sha256"] = segmenter.weights_sha256
    asked["preprocessing"], asked["classes"] = segmenter.preprocessing.to_card(), list(segmenter.classes)
    asked["chartlight"] = own_version()
    asked["ground_truth_sha256"] = hashlib.sha256(read_bytes(mask)).hexdigest() if mask else None
    return asked


def read_bytes(path: Path) -> bytes:
    """The content of a file of the user's.

    Raises:
        InputError: it is not there, not a file, or cannot be read.
    """
    from core.errors import InputError
    from core.settings import get_settings

    if path.is_dir():
        raise InputError(f"{path} is a folder", "give an image, or --batch with a folder of images")
    if not path.is_file():
        raise InputError(f"there is no file {path}", "give the path of an image")
    if path.stat().st_size > (limit := get_settings().upload_mb * 2**20):
        raise InputError(f"{path.name} is larger than {limit >> 20} MB", "raise CHARTLIGHT_UPLOAD_MB")
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path.name} cannot be read ({error.strerror})", "check its permissions") from error
