"""DICOM files made for the tests, and those that come with pydicom."""

import io
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

BUNDLED = Path(pydicom.__file__).parent / "data" / "test_files"
PERSON = "Zweistein^Adalbert"


def bundled(name: str) -> bytes:
    return (BUNDLED / name).read_bytes()


def make(
    pixels: np.ndarray | None, photometric: str = "MONOCHROME2", frames: int | None = None, **elements
) -> Dataset:
    """A data set with stored values (h, w), (frames, h, w), (h, w, 3) or none."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3.4.5.6.7.8.99"
    dataset.PatientName, dataset.PatientID, dataset.Modality = PERSON, "ID-4711", "DX"
    if pixels is not None:
        colour = photometric in ("RGB", "YBR_FULL")
        shape = pixels.shape if frames is None else pixels.shape[1:]
        dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = shape[0], shape[1], 3 if colour else 1
        if colour:
            dataset.PlanarConfiguration = 0
        if frames is not None:
            dataset.NumberOfFrames = frames
        dataset.PhotometricInterpretation = photometric
        dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.itemsize
        dataset.HighBit = dataset.BitsStored - 1
        dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
        dataset.PixelData = pixels.tobytes() + bytes(pixels.nbytes % 2)
        dataset["PixelData"].VR = "OW" if pixels.itemsize > 1 else "OB"
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def encode(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
