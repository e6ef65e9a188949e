"""Maps of every kind of network: its classes and outputs, activations inside it, layers that cannot be read."""

import numpy as np
import pytest
import torch
from torch import nn

from core.errors import InputError
from core.imaging.cams import captured, explain
from core.imaging.preprocess import Geometry
from core.imaging.regions import Region
from core.imaging.segmenters import class_mask, wrap_model
from tests.core.imaging.nets import NATIVE, picture, small_segmenter, small_unet


def test_mask_of_the_result_is_the_argmax():
    result = explain(small_segmenter(), picture(), Region("mask"), 1)
    expected = class_mask(torch.from_numpy(result.segmentation.logits)) == 1
    assert np.array_equal(result.mask, expected.numpy())
    assert result.geometry == Geometry((64, 64), (64, 64), (64, 64), (0, 0))


def test_class_zero_is_the_pixels_where_it_wins():
    segmenter = small_segmenter()
    result = explain(segmenter, picture(), Region("mask"), 0)
    assert result.n_pixels == int((result.segmentation.logits.argmax(axis=0) == 0).sum())
    assert result.score == pytest.approx(float(result.segmentation.logits[0][result.mask].sum()), rel=1e-5)


def test_one_channel_networks_have_two_opposite_classes():
    segmenter = small_segmenter(classes=1)
    assert len(segmenter.classes) == 2
    one = explain(segmenter, picture(), Region("image"), 1)
    zero = explain(segmenter, picture(), Region("image"), 0)
    assert zero.score == pytest.approx(-one.score)
    assert one.mean_probability + zero.mean_probability == pytest.approx(1, abs=1e-6)
    for name in one.maps:
        np.testing.assert_allclose(one.maps[name].seg_hires_grad, -zero.maps[name].seg_hires_grad, rtol=1e-5)
    masks = [explain(segmenter, picture(), Region("mask"), index).mask for index in (0, 1)]
    assert np.array_equal(masks[0], ~masks[1])


def test_tuple_output_of_an_auxiliary_head():
    plain = small_unet()
    aux = small_unet(aux_params={"classes": 4})
    aux.load_state_dict(plain.state_dict(), strict=False)
    first = explain(wrap_model(plain, preprocessing=NATIVE), picture(), Region("image"), 1)
    second = explain(wrap_model(aux, preprocessing=NATIVE), picture(), Region("image"), 1)
    assert second.score == pytest.approx(first.score, rel=1e-6)


@pytest.mark.parametrize(("classes", "activation"), [(3, "softmax2d"), (1, "sigmoid")])
def test_a_final_activation_is_left_out(classes, activation):
    plain = explain(wrap_model(small_unet(classes), preprocessing=NATIVE), picture(), Region("image"), 1)
    segmenter = wrap_model(small_unet(classes, activation=activation), preprocessing=NATIVE)
    assert "logits" in segmenter.notes[0]
    result = explain(segmenter, picture(), Region("image"), 1)
    assert result.score == pytest.approx(plain.score, rel=1e-6)


def test_a_softmax_inside_forward_is_refused():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Conv2d(3, 8, 3, padding=1)
            self.head = nn.Conv2d(8, 3, 1)

        def forward(self, x):
            return self.head(self.body(x).relu()).softmax(1)

    segmenter = wrap_model(Net().eval(), preprocessing=NATIVE)
    with pytest.raises(InputError, match="probabilities"):
        explain(segmenter, picture(), Region("image"))


def test_a_plain_network_of_ones_own_is_explained_at_its_children():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(8, 2, 1)).eval()
    segmenter = wrap_model(model, preprocessing=NATIVE)
    assert "0" not in segmenter.layers, "the layer before an in-place ReLU is a trap"
    result = explain(segmenter, picture(), Region("image"), 1, layers=["1"])
    assert result.maps["1"].seg_grad.shape == (64, 64)


def test_layers_before_an_in_place_relu_are_never_used():
    model = small_unet()
    with pytest.raises(InputError, match="in place"), captured(model, ["encoder.bn1"]) as capture:
        capture.run(torch.rand(1, 3, 64, 64))
    assert not any(module._forward_hooks for module in model.modules())
