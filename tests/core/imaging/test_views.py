import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputError
from core.imaging.display import DisplayOptions
from core.imaging.overlay import draw_contour
from core.imaging.views import LEAST, ZOOMS, possible_zooms, view_around

sides = st.integers(1, 4000)


@given(sides, sides, st.floats(1, 32), st.data())
def test_a_view_lies_inside_and_around_the_region(height, width, zoom, data):
    region = np.zeros((height, width), bool)
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    bottom, right = data.draw(st.integers(top, height - 1)), data.draw(st.integers(left, width - 1))
    region[top, left] = region[bottom, right] = True
    view = view_around(region, zoom)
    for first, last, side, start, stop in (
        (top, bottom, height, view.top, view.bottom),
        (left, right, width, view.left, view.right),
    ):
        assert 0 <= start < stop <= side
        assert stop - start == min(side, max(round(side / zoom), min(side, LEAST)))
        middle, half = (first + last + 1) / 2, (stop - start) / 2
        # centred to a pixel, or held back by an edge
        assert (
            abs((start + stop) / 2 - middle) <= 1
            or (start == 0 and middle < half + 1)
            or (stop == side and middle > side - half - 1)
        )
        if last + 1 - first <= stop - start - 2:
            assert start <= first and last < stop
    picture = np.arange(height * width).reshape(height, width) if height * width < 10**6 else region
    assert view.crop(picture).shape == view.size


def test_the_whole_image_and_no_region():
    assert view_around(np.zeros((40, 60), bool), 1).size == (40, 60)
    view = view_around(np.zeros((40, 64), bool), 2)
    assert (view.top, view.bottom, view.left, view.right) == (10, 30, 16, 48)


@given(sides, sides)
def test_each_possible_zoom_magnifies_as_it_says(height, width):
    zooms = possible_zooms((height, width))
    assert zooms[0] == 1 and list(zooms) == sorted(zooms) and set(zooms) <= set(ZOOMS)
    for zoom in zooms:
        rows, columns = view_around(np.ones((height, width), bool), zoom).size
        assert rows == pytest.approx(height / zoom, abs=0.5) and columns == pytest.approx(width / zoom, abs=0.5)


def test_an_outline_is_not_closed_where_the_window_ends():
    region = np.zeros((60, 60), bool)
    region[10:50, 10:50] = True
    blank = np.full((60, 60, 3), 99, np.uint8)
    part = np.s_[20:60, 20:60]  # the region goes on above and to the left
    assert (draw_contour(blank[part], region[part])[0, :30] != 99).all()
    open_ = draw_contour(blank[part], region[part], closed=False)
    assert (open_[0, :28] == 99).all() and (open_[:28, 0] == 99).all()
    np.testing.assert_array_equal(open_[:, 25:], draw_contour(blank, region)[part][:, 25:])


@pytest.mark.parametrize("zoom", [0.5, 33, float("nan")])
def test_a_zoom_out_of_range(zoom):
    with pytest.raises(InputError, match="out of range"):
        DisplayOptions(zoom=zoom)
