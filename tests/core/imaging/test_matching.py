"""Which segmenter an image starts with, and when a segmenter is the wrong one."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from core.imaging.matching import KINDS, mismatch, slice_axis, suggest
from core.imaging.readers import read_image
from core.imaging.readers.dicom import MODALITIES
from core.imaging.readers.image import Available
from core.imaging.segmenters import SHIPPED_MODELS, read_card

CARDS = {
    "lungs": {"modality": "radiography"},
    "cells": {"modality": "microscopy"},
    "brain": {"modality": "MR", "view": "sagittal"},
    "nerve": {"modality": "ultrasound"},
}


def image(colour=False, **changes):
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (8, 8, 3) if colour else (8, 8)).astype(np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return dataclasses.replace(read_image(file.getvalue()), **changes)


@pytest.mark.parametrize(
    ("picture", "name"),
    [
        (image(), "lungs"),
        (image(colour=True), "cells"),
        (image(available=Available(slices={"axial": 9})), "brain"),
        (image(modality="US"), "nerve"),
        (image(modality="US", colour=True), "nerve"),
        (image(modality="MR"), "brain"),
        (image(modality="DX"), "lungs"),
        (image(modality="CT"), "lungs"),  # no segmenter for it: the first, with a warning
    ],
)
def test_the_file_decides_with_which_segmenter_to_start(picture, name):
    assert suggest(picture, CARDS) == name


def test_one_segmenter_without_a_card_is_enough():
    assert suggest(image(colour=True), {"mine": {}}) == "mine"


def test_a_segmenter_for_another_kind_of_image_is_said():
    assert mismatch(image(modality="CT"), CARDS["lungs"]) == (
        "The file says CT; this segmenter was made for radiography: do not expect sense of what it marks."
    )
    assert mismatch(image(modality="CR"), CARDS["lungs"]) is None
    assert mismatch(image(), CARDS["brain"]) is None  # the file does not say
    assert mismatch(image(modality="CT"), {}) is None  # the card does not


def test_kinds_are_codes_that_the_reader_hands_on_and_words_of_shipped_cards():
    assert set().union(*KINDS.values()) <= set(MODALITIES)
    assert {read_card(path.parent)["modality"] for path in SHIPPED_MODELS.glob("*/card.yaml")} <= set(KINDS)


def test_a_volume_is_cut_as_asked_else_as_the_card_says():
    assert slice_axis({"view": "sagittal"}) == "sagittal"
    assert slice_axis({"view": "sagittal"}, "axial") == "axial"
    assert slice_axis({}) is None and slice_axis({}, "coronal") == "coronal"
