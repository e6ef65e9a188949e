import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, apply_windowing
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless

from core.errors import InputError
from core.imaging.readers import dicom as reader
from core.imaging.readers import read_image
from core.imaging.readers.decode_worker import decode_12_bit_jpeg
from tests.core.imaging.readers.dicom_files import BUNDLED, PERSON, bundled, encode, make

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 4096, (20, 30)).astype(np.uint16)
SIGNED = RNG.integers(-1000, 3000, (20, 30)).astype(np.int16)
RGB = RNG.integers(0, 256, (20, 30, 3)).astype(np.uint8)


def lut(values: np.ndarray, bits: int) -> Dataset:
    table = Dataset()
    table.LUTDescriptor = [len(values), 0, bits]
    table.add_new("LUTData", "OW", values.astype("<u2").tobytes())
    return table


SAME = {  # one MR picture in seven encodings
    "native": "MR_small.dcm",
    "implicit": "MR_small_implicit.dcm",
    "big endian": "MR_small_bigendian.dcm",
    "padded": "MR_small_padded.dcm",
    "RLE": "MR_small_RLE.dcm",
    "JPEG 2000": "MR_small_jp2klossless.dcm",
    "JPEG-LS": "MR_small_jpeg_ls_lossless.dcm",
}


@pytest.mark.parametrize("name", SAME.values(), ids=SAME)
def test_lossless_encodings_of_one_picture_agree(name):
    reference = pydicom.dcmread(BUNDLED / "MR_small.dcm")
    stored = np.frombuffer(reference.PixelData, "<i2").reshape(reference.Rows, reference.Columns)
    image = read_image(bundled(name))
    np.testing.assert_array_equal(image.pixels, stored)
    assert image.modality == "MR" and image.spacing == (0.3125, 0.3125)


LOSSLESS_COLOUR = ["SC_rgb_rle.dcm", "SC_rgb_jpeg_gdcm.dcm"]  # RLE; JPEG lossless (process 14, SV1)


@pytest.mark.parametrize("name", LOSSLESS_COLOUR)
def test_lossless_colour(name):
    reference = pydicom.dcmread(BUNDLED / "SC_rgb_rle.dcm").pixel_array
    image = read_image(bundled(name))
    np.testing.assert_array_equal(image.pixels, reference)
    np.testing.assert_array_equal(image.display, reference)


@pytest.mark.parametrize(
    "name",
    [
        "SC_rgb_jpeg_dcmtk.dcm",
        "SC_rgb_dcmtk_+eb+cr.dcm",
        "SC_rgb_dcmtk_+eb+cy+np.dcm",
        "SC_rgb_dcmtk_+eb+cy+s2.dcm",
        "SC_rgb_dcmtk_+eb+cy+s4.dcm",
        "SC_rgb_jls_lossy_line.dcm",
        "SC_rgb_jls_lossy_sample.dcm",
        "SC_rgb_jpeg_lossy_gdcm.dcm",
        "SC_ybr_full_422_uncompressed.dcm",
    ],
)
def test_lossy_colour_is_close(name):
    reference = pydicom.dcmread(BUNDLED / "SC_rgb_rle.dcm").pixel_array.astype(float)
    assert np.abs(read_image(bundled(name)).pixels - reference).mean() < 16


@pytest.mark.parametrize(
    "name", ["JPEG2000.dcm", "J2K_pixelrep_mismatch.dcm", "JPEGLSNearLossless_16.dcm", "examples_jpeg2k.dcm"]
)
def test_the_decoder_process_gives_what_pydicom_gives(name):
    dataset = pydicom.dcmread(BUNDLED / name)
    peer = apply_modality_lut(dataset.pixel_array, dataset)
    np.testing.assert_allclose(read_image(bundled(name)).pixels, peer, rtol=1e-6)


def test_jpeg_extended_at_12_bit():
    """The JPEG files are lossy versions of the picture that pydicom also ships as JPEG 2000."""
    reference = pydicom.dcmread(BUNDLED / "JPEG2000.dcm").pixel_array.astype(float)
    for name in ("JPGExtended.dcm", "JPEG-lossy.dcm"):
        image = read_image(bundled(name))
        assert image.pixels.shape == reference.shape and image.pixels.max() > 255
        assert np.corrcoef(image.pixels.ravel(), reference.ravel())[0, 1] > 0.95


def test_signed_12_bit_samples_get_their_sign():
    body = np.array([[0, 1, 2047], [2048, 4000, 4095]], np.uint16)
    encoded = imagecodecs.jpeg8_encode(np.kron(body, np.ones((8, 8), np.uint16)), level=100, bitspersample=12)
    values = decode_12_bit_jpeg(encoded, 12, 1)[4::8, 4::8]
    np.testing.assert_allclose(values, np.where(body > 2047, body.astype(int) - 4096, body), atol=12)
    np.testing.assert_allclose(decode_12_bit_jpeg(encoded, 12, 0)[4::8, 4::8], body, atol=12)


def test_what_no_decoder_reads_is_said():
    dataset = pydicom.dcmread(BUNDLED / "MR_small_RLE.dcm")
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.103"  # MPEG-4 video
    with pytest.raises(InputError, match=r"not read|damaged"):
        read_image(encode(dataset))


@pytest.mark.parametrize("frame", [0, 17, 29])
def test_frames(frame):
    peer = pydicom.dcmread(BUNDLED / "examples_ybr_color.dcm").pixel_array
    image = read_image(bundled("examples_ybr_color.dcm"), frame=frame)
    np.testing.assert_array_equal(image.pixels, peer[frame])
    assert image.available.frames == 30
    with pytest.raises(InputError, match="frame 30"):
        read_image(bundled("examples_ybr_color.dcm"), frame=30)


def test_native_frames_and_bit_packed_ones():
    stack = RNG.integers(0, 255, (3, 5, 6)).astype(np.uint8)
    data = encode(make(stack, frames=3))
    for frame in range(3):
        np.testing.assert_array_equal(read_image(data, frame=frame).pixels, stack[frame])
    peer = pydicom.dcmread(BUNDLED / "liver_1frame.dcm").pixel_array
    np.testing.assert_array_equal(read_image(bundled("liver_1frame.dcm")).pixels, peer)


def test_palette():
    dataset = pydicom.dcmread(BUNDLED / "examples_palette.dcm")
    peer = apply_color_lut(dataset.pixel_array, dataset)
    image = read_image(bundled("examples_palette.dcm"))
    np.testing.assert_array_equal(image.pixels, peer)
    np.testing.assert_array_equal(image.display, np.rint(peer / 65535 * 255))


def test_rescale_and_modality_lut():
    image = read_image(encode(make(SIGNED, RescaleSlope="2.5", RescaleIntercept="-1024")))
    np.testing.assert_allclose(image.pixels, SIGNED * 2.5 - 1024)
    values = RNG.integers(0, 65536, 4096)
    table = lut(values, 16)
    table.ModalityLUTType = "US"
    dataset = make(GREY, ModalityLUTSequence=[table])
    np.testing.assert_array_equal(read_image(encode(dataset)).pixels, values[GREY])


def test_low_values_white_is_turned_round_for_eye_and_model():
    plain = read_image(encode(make(GREY)))
    for elements in ({"photometric": "MONOCHROME1"}, {"PresentationLUTShape": "INVERSE"},
                     {"photometric": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}):  # fmt: skip
        image = read_image(encode(make(GREY, **elements)))
        np.testing.assert_array_equal(image.display, 255 - plain.display)
        np.testing.assert_array_equal(image.pixels, float(GREY.max()) + float(GREY.min()) - GREY)
        assert any("turned round" in note for note in image.notes)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("window", [(500, 800), (40.5, 1.5), (2000, 4096)])
def test_windows_equal_pydicoms(function, window):
    dataset = make(SIGNED, WindowCenter=window[0], WindowWidth=window[1], VOILUTFunction=function)
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
    peer = apply_windowing(apply_modality_lut(SIGNED, dataset), dataset)
    low, high = -32768.0, 32767.0  # pydicom's output range for 16 bits, signed
    expected = (peer - low) / (high - low) * 255
    image = read_image(encode(dataset))
    assert np.abs(image.display - expected).max() <= 0.51
    np.testing.assert_array_equal(image.pixels, SIGNED)
    assert "the file's window" in image.chosen["window"]


def test_several_windows_and_the_users_own():
    dataset = make(SIGNED, WindowCenter=[40, 500], WindowWidth=[400, 2000])
    dataset.WindowCenterWidthExplanation = ["BRAIN", PERSON]
    data = encode(dataset)
    image = read_image(data)
    assert image.available.windows == ("centre 40, width 400 (brain)", "centre 500, width 2000")
    np.testing.assert_array_equal(read_image(data, window="preset 0").display, image.display)
    np.testing.assert_array_equal(
        read_image(data, window=(500, 2000)).display, read_image(data, window="preset 1").display
    )
    assert not np.array_equal(read_image(data, window="full").display, image.display)
    with pytest.raises(InputError, match="preset 2"):
        read_image(data, window="preset 2")
    with pytest.raises(InputError, match="preset"):
        read_image(encode(make(GREY)), window="preset 0")


def test_voi_lut_comes_before_windows():
    table = lut(np.sort(RNG.integers(0, 4096, 4096)), 12)
    table.LUTExplanation = "NORMAL"
    dataset = make(GREY, VOILUTSequence=[table], WindowCenter=100, WindowWidth=200)
    peer = apply_voi_lut(GREY, dataset)
    image = read_image(encode(dataset))
    assert np.abs(image.display - peer / 4095 * 255).max() <= 0.51
    assert image.available.windows == ("VOI LUT 1 (normal)", "centre 100, width 200")


@pytest.mark.parametrize(("centre", "width"), [("nan", 100), (10, 0), (10, -5), (10, 0.5)])
def test_windows_that_cannot_be_are_left_out(centre, width):
    dataset = make(GREY)
    dataset.WindowCenter, dataset.WindowWidth = str(centre), str(width)
    assert read_image(encode(dataset)).available.windows == ()


def test_padding_is_not_part_of_the_picture():
    values = GREY.copy()
    values[:5] = 65535
    image = read_image(encode(make(values, PixelPaddingValue=65535)))
    assert (image.pixels[:5] == values[5:].min()).all()
    np.testing.assert_array_equal(image.pixels[5:], values[5:])
    values[5:7] = 65000
    image = read_image(encode(make(values, PixelPaddingValue=65535, PixelPaddingRangeLimit=65000)))
    assert (image.pixels[:7] == values[7:].min()).all()


def test_enhanced_objects_keep_their_transforms_in_functional_groups():
    def item(**elements) -> Dataset:
        dataset = Dataset()
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)
        return dataset

    shared = item(PixelMeasuresSequence=[item(PixelSpacing=[0.5, 0.25])])
    frames = [
        item(
            PixelValueTransformationSequence=[item(RescaleSlope=str(slope), RescaleIntercept="-10")],
            FrameVOILUTSequence=[item(WindowCenter="50", WindowWidth=str(100 * slope))],
        )
        for slope in (1, 3)
    ]
    stack = RNG.integers(0, 100, (2, 5, 6)).astype(np.uint16)
    data = encode(
        make(stack, frames=2, SharedFunctionalGroupsSequence=[shared], PerFrameFunctionalGroupsSequence=frames)
    )
    for frame, slope in enumerate((1, 3)):
        image = read_image(data, frame=frame)
        np.testing.assert_array_equal(image.pixels, stack[frame] * slope - 10.0)
        assert image.spacing == (0.5, 0.25) and image.available.windows == (f"centre 50, width {100 * slope}",)


def test_float_pixels_and_values_that_are_no_numbers():
    dataset = make(GREY)
    del dataset.PixelData, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation
    values = RNG.normal(size=(20, 30)).astype(np.float32)
    values[3, 4] = np.nan
    dataset.BitsAllocated, dataset.FloatPixelData = 32, values.tobytes()
    image = read_image(encode(dataset))
    assert image.pixels[3, 4] == np.nanmin(values)
    assert (image.pixels == np.where(np.isnan(values), np.nanmin(values), values)).all()


@pytest.mark.parametrize(
    ("elements", "spacing"),
    [
        ({"PixelSpacing": [0.2, 0.3]}, (0.2, 0.3)),
        ({"ImagerPixelSpacing": [0.14, 0.14]}, (0.14, 0.14)),
        ({"PixelSpacing": [0, 0.3]}, None),
        ({"PixelAspectRatio": [2, 1]}, None),
        ({}, None),
    ],
)
def test_spacing(elements, spacing):
    image = read_image(encode(make(GREY, **elements)))
    assert image.spacing == spacing
    assert ("ImagerPixelSpacing" in elements) == any("at the detector" in note for note in image.notes)
    assert ("PixelAspectRatio" in elements) == any("not square" in note for note in image.notes)


@pytest.mark.parametrize(("stated", "flag"), [("YES", True), ("NO", False), (None, None)])
def test_burned_in_text_is_flagged(stated, flag):
    image = read_image(encode(make(GREY, **({"BurnedInAnnotation": stated} if stated else {}))))
    assert image.burned_in is flag
    assert any("burned" in note for note in image.notes) == (flag is not False)


def test_no_identifier_is_kept():
    dataset = make(GREY, PatientBirthDate="19000101", InstitutionName="Sankt Nirgendwo", AccessionNumber="A-0815")
    dataset.WindowCenter, dataset.WindowWidth, dataset.WindowCenterWidthExplanation = 5, 10, PERSON
    dataset.Modality = "SMITH"
    text = repr(read_image(encode(dataset)))
    for secret in ("Zweistein", "4711", "1900", "Nirgendwo", "0815", "SMITH", "1.2.3.4.5"):
        assert secret not in text


@pytest.mark.parametrize("element", ["Rows", "Columns", "BitsAllocated", "SamplesPerPixel"])
def test_missing_attributes_are_named(element):
    dataset = make(GREY)
    delattr(dataset, element)
    with pytest.raises(InputError, match=f"does not say {element}"):
        read_image(encode(dataset))


@pytest.mark.parametrize("name", ["rtplan.dcm", "test-SR.dcm", "waveform_ecg.dcm", "rtstruct.dcm", "reportsi.dcm"])
def test_objects_without_pixels(name):
    with pytest.raises(InputError, match="no pixels"):
        read_image(bundled(name))


@pytest.mark.parametrize(
    "elements",
    [
        {"Rows": 40},
        {"Columns": 60},
        {"Rows": 60000, "Columns": 60000},
        {"Rows": 0},
        {"NumberOfFrames": 5},
        {"BitsAllocated": 32},
        {"BitsAllocated": 12},
        {"SamplesPerPixel": 3},
        {"SamplesPerPixel": 2},
        {"PhotometricInterpretation": "RGB"},
        {"PhotometricInterpretation": "PALETTE COLOR"},
        {"PhotometricInterpretation": "ARGB"},
        {"BitsStored": 17},
    ],
    ids=str,
)
def test_numbers_that_lie(elements):
    dataset = make(GREY)
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    with pytest.raises(InputError):
        read_image(encode(dataset))


def test_a_compressed_picture_of_another_size_is_not_decoded():
    dataset = pydicom.dcmread(BUNDLED / "MR_small_jp2klossless.dcm")
    dataset.Rows, dataset.Columns = 32, 32
    with pytest.raises(InputError, match="64 x 64"):
        read_image(encode(dataset))
    at = dataset.PixelData.index(b"\xff\x4f\xff\x51")
    bomb = bytearray(dataset.PixelData)
    bomb[at + 8 : at + 16] = b"\x00\x00\xff\xff\x00\x00\xff\xff"
    dataset.PixelData = bytes(bomb)
    with pytest.raises(InputError, match="65535 x 65535"):
        read_image(encode(dataset))


def test_unknown_transfer_syntaxes_are_refused():
    data = encode(make(GREY))
    unknown = data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.99999.1.2.1\0", 1)
    assert unknown != data
    with pytest.raises(InputError, match="transfer syntax"):
        read_image(unknown)


def test_native_pixels_that_say_they_are_compressed():
    dataset = pydicom.dcmread(BUNDLED / "MR_small_RLE.dcm")
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    with pytest.raises(InputError, match="damaged"):
        read_image(encode(dataset))


def test_deflated_files_and_deflated_bombs(monkeypatch):
    image = read_image(bundled("image_dfl.dcm"))
    np.testing.assert_array_equal(image.pixels, pydicom.dcmread(BUNDLED / "image_dfl.dcm").pixel_array)
    dataset = make(np.zeros((1000, 1000), np.uint8))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data = encode(dataset)
    assert len(data) < 5000 and read_image(data).size == (1000, 1000)
    monkeypatch.setattr(reader, "MAX_VOLUME_BYTES", 1_000_000)
    with pytest.raises(InputError, match="unpacks"):
        read_image(data)


def test_a_dicom_file_whose_preamble_is_a_tiff():
    data = bytearray(encode(make(GREY)))
    data[:4] = b"II*\x00"
    assert read_image(bytes(data)).format == "DICOM"


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_tiny_pictures(shape):
    assert read_image(encode(make(np.zeros(shape, np.uint16)))).display.max() == 0


def test_truncation():
    data = bundled("CT_small.dcm")
    for share in (0.05, 0.2, 0.5, 0.9):
        with pytest.raises(InputError):
            read_image(data[: int(len(data) * share)])
