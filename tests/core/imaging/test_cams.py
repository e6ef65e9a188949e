"""Maps against captum and grad-cam, against closed forms, and against everything that could leak."""

import threading

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from captum.attr import LayerGradCam, LayerGradientXActivation
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_grad_cam import GradCAM, HiResCAM
from pytorch_grad_cam.utils.model_targets import SemanticSegmentationTarget
from scipy import ndimage
from torch import nn

from core.errors import InputError
from core.imaging.cams import captured, explain, explain_regions, maps_of_mask, windowed_map
from core.imaging.preprocess import Geometry
from core.imaging.regions import Region
from core.imaging.segmenters import class_mask, segment, wrap_model
from tests.core.imaging.nets import NATIVE, enliven, picture, small_segmenter, small_unet

ARCHITECTURES = ("Unet", "UnetPlusPlus", "FPN", "DeepLabV3Plus")
ENCODERS = ("resnet18", "mobilenet_v2", "efficientnet-b0")


def prepared(segmenter, image):
    return segmenter.prepare(image)[0]


# --- exactness against the two peers -------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_raw_maps_equal_captum_and_grad_cam_at_all_layers(architecture, encoder):
    torch.manual_seed(1)
    model = getattr(smp, architecture)(encoder, encoder_weights=None, classes=3)
    segmenter = wrap_model(enliven(model, 1).double(), preprocessing=NATIVE)
    image = picture(64, 96, seed=2)
    result = explain(segmenter, image, Region("image"), 2)
    tensor = prepared(segmenter, image)
    mask = torch.from_numpy(result.mask)
    assert len(result.maps) >= 9

    def score(x):
        return (model(x)[:, 2] * mask).sum(dim=(1, 2))[:, None]

    layers = [model.get_submodule(name) for name in result.maps]
    products = LayerGradientXActivation(score, layers).attribute(tensor.clone().requires_grad_(), target=0)
    target = [SemanticSegmentationTarget(2, result.mask.astype(np.float64))]
    cams = {}
    for method in (GradCAM, HiResCAM):
        with method(model, layers) as cam:
            cam(tensor.clone().requires_grad_(), target)
            kept = cam.activations_and_grads
            cams[method] = [
                cam.get_cam_image(tensor, layer, target, a.numpy(), g.numpy(), False)[0]
                for layer, a, g in zip(layers, kept.activations, kept.gradients[: len(layers)], strict=True)
            ]
    for index, (name, maps) in enumerate(result.maps.items()):
        scale = max(1.0, np.abs(maps.seg_hires_grad).max(), np.abs(maps.seg_grad).max())
        captum_hires = products[index].detach().sum(dim=1)[0].numpy()
        x = tensor.clone().requires_grad_()
        captum_grad = LayerGradCam(score, layers[index]).attribute(x, target=0).detach()[0, 0].numpy()
        for ours, peer in (
            (maps.seg_hires_grad, captum_hires),
            (maps.seg_hires_grad, cams[HiResCAM][index]),
            (maps.seg_grad, captum_grad),
            (maps.seg_grad, cams[GradCAM][index]),
        ):
            np.testing.assert_allclose(ours / scale, peer / scale, rtol=0, atol=1e-9, err_msg=name)
        assert np.abs(maps.seg_hires_grad).max() > 0, f"{name} says nothing, so it proves nothing"


def test_displayed_maps_equal_grad_cam_after_its_steps():
    model = small_unet()
    segmenter = wrap_model(model, preprocessing=NATIVE)
    image = picture()
    result = explain(segmenter, image, Region("box", box=(10, 10, 50, 50)), 1)
    names = ["encoder.layer2", "encoder.layer4", "decoder.blocks.1", "decoder.blocks.2", "decoder.blocks.4"]
    for name in names:
        for method, raw in (
            (GradCAM, result.maps[name].seg_grad),
            (HiResCAM, result.maps[name].seg_hires_grad),
        ):
            with method(model, [model.get_submodule(name)]) as cam:
                theirs = cam(
                    prepared(segmenter, image).requires_grad_(),
                    [SemanticSegmentationTarget(1, result.mask.astype("f4"))],
                )[0]
            positive = np.maximum(raw, 0)
            low, high = positive.min(), positive.max()
            import cv2

            ours = cv2.resize((positive - low) / (1e-7 + high - low), (64, 64))
            ours = np.maximum(ours, 0)
            ours = (ours - ours.min()) / (1e-7 + ours.max() - ours.min())
            np.testing.assert_allclose(ours, theirs, atol=1e-5, err_msg=name)


def test_gradient_agrees_with_finite_differences():
    segmenter = small_segmenter(dtype=torch.float64)
    image = picture()
    region = Region("image")
    layer = "decoder.blocks.1"
    kept = {}
    model = segmenter.model
    handle = model.get_submodule(layer).register_forward_hook(lambda _m, _i, o: kept.setdefault("a", o))
    tensor = prepared(segmenter, image)
    model(tensor)
    handle.remove()
    activation = kept["a"]
    step = 1e-5 * activation  # along A itself, the derivative of S is the sum of the Seg-HiRes map

    def score(shift):
        handle = model.get_submodule(layer).register_forward_hook(lambda *_: activation + shift)
        try:
            return float(model(tensor)[0, 1].sum())
        finally:
            handle.remove()

    slope = (score(step) - score(-step)) / 2e-5
    total = explain(segmenter, image, region, 1).maps[layer].seg_hires_grad.sum()
    assert slope == pytest.approx(total, rel=1e-5)


# --- identities ----------------------------------------------------------------------------------------------------


def test_completeness_at_the_decoder_output():
    segmenter = small_segmenter(dtype=torch.float64)
    result = explain(segmenter, picture(), Region("box", box=(5, 5, 40, 60)), 1)
    bias = float(segmenter.model.segmentation_head[0].bias[1])
    total = result.maps["decoder.blocks.4"].seg_hires_grad.sum() + bias * result.n_pixels
    assert total == pytest.approx(result.score, rel=1e-12)
    assert result.maps["decoder.blocks.4"].seg_grad.sum() != pytest.approx(result.score, rel=0.01)


def test_hires_is_local_at_the_last_layer_and_grad_is_not():
    segmenter = small_segmenter(dtype=torch.float64)
    result = explain(segmenter, picture(), Region("box", box=(20, 20, 40, 40)), 1)
    last = result.maps["decoder.blocks.4"]
    outside = ~ndimage.binary_dilation(result.mask, np.ones((3, 3)))
    assert np.all(last.seg_hires_grad[outside] == 0)
    assert np.abs(last.seg_grad[outside]).max() > 0


@pytest.fixture(scope="module")
def one_by_one():
    """A network that ends in a 1x1 head."""
    model = small_unet()
    torch.manual_seed(3)
    model.segmentation_head[0] = nn.Conv2d(8, 3, 1)
    return wrap_model(model.double().requires_grad_(False), preprocessing=NATIVE)


def test_under_a_1x1_head_the_maps_are_the_logits(one_by_one):
    result = explain(one_by_one, picture(), Region("mask"), 1)
    logits = result.segmentation.logits[1] - float(one_by_one.model.segmentation_head[0].bias[1])
    last = result.maps["decoder.blocks.4"]
    np.testing.assert_allclose(last.seg_hires_grad, result.mask * logits, atol=1e-12)
    np.testing.assert_allclose(last.seg_grad, result.n_pixels / logits.size * logits, atol=1e-12)


def test_under_a_1x1_head_normalised_seg_grad_does_not_know_the_region(one_by_one):
    regions = [Region("image"), Region("mask"), Region("pixel", point=(30, 30))]
    maps = [r.maps["decoder.blocks.4"] for r in explain_regions(one_by_one, picture(), regions, 1)]
    normalised = [m.seg_grad / np.abs(m.seg_grad).max() for m in maps]
    np.testing.assert_allclose(normalised[0], normalised[1], atol=1e-12)
    np.testing.assert_allclose(normalised[0], normalised[2], atol=1e-12)
    np.testing.assert_allclose(maps[0].seg_grad, maps[0].seg_hires_grad, atol=1e-12)  # M = all pixels: both agree


def test_maps_are_additive_over_disjoint_regions():
    segmenter = small_segmenter(dtype=torch.float64)
    tensor = prepared(segmenter, picture())
    first, second = np.zeros((2, 64, 64), bool)
    first[5:30, 5:30], second[35:60, 10:50] = True, True
    results = [
        maps_of_mask(segmenter.model, tensor, mask, 1, list(segmenter.layers))
        for mask in (first, second, first | second)
    ]
    assert results[0][0] + results[1][0] == pytest.approx(results[2][0], rel=1e-12)
    for name in segmenter.layers:
        for method in ("seg_grad", "seg_hires_grad"):
            a, b, both = (getattr(maps[name], method) for _, maps in results)
            np.testing.assert_allclose(a + b, both, atol=1e-11 * max(1, np.abs(both).max()))


def test_direct_shares_and_bias_make_up_the_score():
    segmenter = small_segmenter(dtype=torch.float64)
    shares = explain(segmenter, picture(), Region("image"), 1).shares
    assert list(shares.skips) == ["encoder.relu"] + [f"encoder.layer{i}" for i in range(1, 5)]
    # an independent account of the bias share: the derivative of S by scaling all decoder biases at once
    model = segmenter.model
    tensor = prepared(segmenter, picture())

    def score(scale):
        changed = {}
        for name, parameter in model.named_parameters():
            changed[name] = parameter
        with torch.no_grad():
            features = model.encoder(tensor)
            scaled = [feature * scale for feature in features]
            return float(model.segmentation_head(model.decoder(scaled))[0, 1].sum())

    # S is homogeneous but for the biases: d S(scale * F) / d scale at 1 is the sum of the skips' shares
    slope = (score(1 + 1e-6) - score(1 - 1e-6)) / 2e-6
    total = score(1.0)
    assert sum(shares.skips.values()) == pytest.approx(slope / total, rel=1e-6)
    assert sum(shares.skips.values()) + shares.bias == pytest.approx(1, abs=1e-12)


def test_shares_of_a_bias_free_decoder_sum_to_one():
    model = small_unet().double()
    with torch.no_grad():
        for part in (model.decoder, model.segmentation_head):
            for module in part.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.bias.copy_(module.weight * module.running_mean / (module.running_var + module.eps).sqrt())
                elif isinstance(module, nn.Conv2d) and module.bias is not None:
                    module.bias.zero_()
    result = explain(wrap_model(model, preprocessing=NATIVE), picture(), Region("image"), 2)
    assert sum(result.shares.skips.values()) == pytest.approx(1, abs=1e-10)
    assert result.shares.skips["encoder.layer4"] != pytest.approx(1, abs=0.1)  # one branch is not the whole


def test_no_shares_where_they_are_not_exact():
    model = enliven(smp.FPN("resnet18", encoder_weights=None, classes=2))  # group norm
    assert explain(wrap_model(model, preprocessing=NATIVE), picture(), Region("image")).shares is None
    gated = small_unet(decoder_attention_type="scse", decoder_channels=(32, 32, 32, 16, 16))
    assert explain(wrap_model(gated, preprocessing=NATIVE), picture(), Region("image")).shares is None


def test_full_gradient_identity():
    """S = x . dS/dx + sum of biases . gradient, for a network that is piecewise linear throughout."""
    model = small_unet().double()
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    x = torch.from_numpy(picture().transpose(2, 0, 1)[None].astype(np.float64)).requires_grad_()
    norms, outputs, handles = [], [], []

    def keep(module, _inputs, output):
        norms.append(module)
        outputs.append(output)

    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) or (isinstance(module, nn.Conv2d) and module.bias is not None):
            handles.append(module.register_forward_hook(keep))
    score = model(x)[0, 1].sum()
    gradients = torch.autograd.grad(score, [x, *outputs])
    for handle in handles:
        handle.remove()
    total = float((x.detach() * gradients[0]).sum())
    for module, gradient in zip(norms, gradients[1:], strict=True):
        shift = module.bias
        if isinstance(module, nn.BatchNorm2d):
            shift = module.bias - module.weight * module.running_mean / (module.running_var + module.eps).sqrt()
        total += float((gradient.sum(dim=(0, 2, 3)) * shift).sum())
    assert total == pytest.approx(float(score), rel=1e-10)


def test_twice_the_logits_give_twice_the_maps_and_the_same_picture():
    single, double = small_unet().double(), small_unet().double()
    with torch.no_grad():
        double.segmentation_head[0].weight.mul_(2)
        double.segmentation_head[0].bias.mul_(2)
    results = [explain(wrap_model(m, preprocessing=NATIVE), picture(), Region("mask"), 1) for m in (single, double)]
    for name in results[0].maps:
        np.testing.assert_allclose(
            2 * results[0].maps[name].seg_grad, results[1].maps[name].seg_grad, rtol=1e-10, atol=1e-12
        )
    assert results[1].score == pytest.approx(2 * results[0].score)


def test_permuting_the_classes_permutes_the_maps():
    plain, permuted = small_unet(), small_unet()
    order = [2, 0, 1]
    with torch.no_grad():
        permuted.segmentation_head[0].weight.copy_(plain.segmentation_head[0].weight[order])
        permuted.segmentation_head[0].bias.copy_(plain.segmentation_head[0].bias[order])
    first = explain(wrap_model(plain, preprocessing=NATIVE), picture(), Region("image"), 2)
    second = explain(wrap_model(permuted, preprocessing=NATIVE), picture(), Region("image"), 0)
    np.testing.assert_allclose(
        first.maps["encoder.layer3"].seg_grad, second.maps["encoder.layer3"].seg_grad, rtol=1e-4, atol=1e-6
    )


def test_maps_move_with_the_image_by_whole_strides():
    segmenter = small_segmenter(dtype=torch.float64)
    wide = picture(64, 320, seed=5)
    tensor = prepared(segmenter, wide)
    shifted = torch.roll(tensor, 32, dims=3)
    mask = np.zeros((64, 320), bool)
    mask[20:40, 150:170] = True
    layer = "decoder.blocks.4"
    _, here = maps_of_mask(segmenter.model, tensor, mask, 1, [layer])
    _, there = maps_of_mask(segmenter.model, shifted, np.roll(mask, 32, axis=1), 1, [layer])
    inner = slice(145, 176)
    moved = slice(177, 208)
    # the receptive field is wider than the picture, so borders matter a little: they are far away
    np.testing.assert_allclose(
        here[layer].seg_hires_grad[:, inner], there[layer].seg_hires_grad[:, moved], rtol=0.05, atol=0.05
    )


# --- the windowed family --------------------------------------------------------------------------------------------


def test_windows_lead_from_hires_to_grad():
    segmenter = small_segmenter(dtype=torch.float64)
    result = explain(segmenter, picture(64, 96), Region("image"), 1, windows=(1, 2, 3, 1000))
    for maps in result.maps.values():
        scale = np.abs(maps.seg_hires_grad).max() + np.abs(maps.seg_grad).max()
        np.testing.assert_allclose(maps.windowed[1], maps.seg_hires_grad, atol=1e-12 * scale)
        np.testing.assert_allclose(maps.windowed[1000], maps.seg_grad, atol=1e-12 * scale)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 10), st.integers(0, 10**6))
def test_windowed_map_equals_the_naive_one(height, width, window, seed):
    generator = torch.Generator().manual_seed(seed)
    activation, gradient = torch.randn(2, 3, height, width, generator=generator, dtype=torch.float64)
    expected = torch.zeros(height, width, dtype=torch.float64)
    for top in range(0, height, window):
        for left in range(0, width, window):
            cell = (slice(None), slice(top, top + window), slice(left, left + window))
            weights = gradient[cell].mean(dim=(1, 2))
            expected[cell[1:]] = torch.einsum("k,khw->hw", weights, activation[cell])
    torch.testing.assert_close(windowed_map(activation, gradient, window), expected)


# --- kinds of networks ----------------------------------------------------------------------------------------------


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


def test_padding_is_no_part_of_the_region_and_maps_come_back_to_the_image():
    segmenter = small_segmenter()
    result = explain(segmenter, picture(50, 70), Region("image"), 1)
    assert result.n_pixels == 50 * 70
    assert result.geometry.grid_size == (64, 96)
    last = torch.from_numpy(result.maps["decoder.blocks.4"].seg_hires_grad)
    (row, column) = result.geometry.offset
    cropped = last[row : row + 50, column : column + 70]
    assert torch.equal(result.geometry.layer_to_image(last), cropped)
    assert result.segmentation.mask.shape == (50, 70)


def test_an_image_of_one_pixel():
    result = explain(small_segmenter(), np.full((1, 1, 3), 0.4, np.float32), Region("image"), 1)
    assert result.n_pixels == 1


# --- tiles ----------------------------------------------------------------------------------------------------------


def test_tiled_maps_equal_the_naive_sum_over_tiles():
    segmenter = small_segmenter(dtype=torch.float64, tile=96)
    image = picture(128, 192, seed=4)
    result = explain(segmenter, image, Region("box", box=(30, 20, 170, 120)), 1)
    tiles = segmenter.tiles((128, 192))
    assert len(tiles) > 2
    tensor = prepared(segmenter, image)
    covered = np.zeros((128, 192), int)
    for tile in tiles:
        first, last, begin, end = tile.core
        covered[first:last, begin:end] += 1
    assert (covered == 1).all()
    for name, (_, stride) in segmenter.layers.items():
        hires = np.zeros((128 // stride, 192 // stride))
        for tile in tiles:
            top, bottom, left, right = tile.window
            first, last, begin, end = tile.core
            inside = np.zeros((128, 192), bool)
            inside[first:last, begin:end] = result.mask[first:last, begin:end]
            inside = inside[top:bottom, left:right]
            if inside.any():
                part = tensor[..., top:bottom, left:right]
                _, maps = maps_of_mask(segmenter.model, part, inside, 1, [name])
                hires[top // stride : bottom // stride, left // stride : right // stride] += maps[name].seg_hires_grad
        np.testing.assert_allclose(result.maps[name].seg_hires_grad, hires, atol=1e-9 * max(1, np.abs(hires).max()))
    score = result.segmentation.logits[1][result.mask].sum()
    assert result.score == pytest.approx(float(score), rel=1e-10)


def test_an_image_below_the_tile_is_explained_in_one_piece():
    whole, tiled = small_segmenter(), small_segmenter(tile=96)
    results = [explain(segmenter, picture(96, 64), Region("image"), 1) for segmenter in (whole, tiled)]
    for name in results[0].maps:
        np.testing.assert_array_equal(results[0].maps[name].seg_grad, results[1].maps[name].seg_grad)


# --- several regions, threads, leaks --------------------------------------------------------------------------------


def test_many_regions_equal_one_by_one():
    segmenter = small_segmenter()
    regions = [Region("box", box=(4 * i, 4 * i, 4 * i + 20, 4 * i + 20)) for i in range(5)] + [Region("image")]
    regions = [Region("pixel", point=(10 * i, 5 * i)) for i in range(6)] + [Region("image")]
    together = explain_regions(segmenter, picture(), regions, 1)
    for region, result in zip(regions, together, strict=True):
        alone = explain(segmenter, picture(), region, 1)
        assert result.score == alone.score
        for name in result.maps:
            np.testing.assert_allclose(
                result.maps[name].seg_hires_grad, alone.maps[name].seg_hires_grad, rtol=1e-5, atol=1e-7
            )


def test_an_image_can_be_explained_after_it_was_segmented():
    """Segmenting runs in inference mode: what it makes on first use must still take part in a graph."""
    first, second = small_segmenter(), small_segmenter()
    segment(first, picture())
    ours, theirs = (explain(segmenter, picture(), Region("image"), 1) for segmenter in (first, second))
    assert ours.score == theirs.score


def test_threads_on_one_model_equal_the_serial_result():
    segmenter = small_segmenter()
    images = [picture(seed=seed) for seed in range(4)]
    serial = [explain(segmenter, image, Region("image"), 1) for image in images]
    found: dict[int, object] = {}
    failures: list[BaseException] = []

    def work(index):
        try:
            for _ in range(3):
                found[index] = explain(segmenter, images[index], Region("image"), 1)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    for index, expected in enumerate(serial):
        for name in expected.maps:
            np.testing.assert_array_equal(expected.maps[name].seg_grad, found[index].maps[name].seg_grad)
            np.testing.assert_array_equal(expected.maps[name].seg_hires_grad, found[index].maps[name].seg_hires_grad)


def state(model):
    return {
        "hooks": [len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in model.modules()],
        "gradients": [p.grad is None for p in model.parameters()],
        "requires_grad": [p.requires_grad for p in model.parameters()],
        "training": [m.training for m in model.modules()],
        "values": {key: value.clone() for key, value in model.state_dict().items()},
    }  # fmt: skip


def assert_untouched(model, before):
    after = state(model)
    for key in ("hooks", "gradients", "requires_grad", "training"):
        assert after[key] == before[key], key
    assert all(torch.equal(value, after["values"][key]) for key, value in before["values"].items())


@pytest.mark.parametrize("frozen", [True, False])
def test_nothing_of_the_network_changes(frozen):
    model = small_unet().requires_grad_(not frozen)
    segmenter = wrap_model(model, preprocessing=NATIVE)
    before = state(model)
    with torch.no_grad():  # a caller's mode is no obstacle, and stays
        result = explain(segmenter, picture(), Region("mask"), 1)
        assert not torch.is_grad_enabled()
    assert_untouched(model, before)
    assert all(isinstance(maps.seg_grad, np.ndarray) for maps in result.maps.values())


def test_nothing_of_the_network_changes_after_an_exception(monkeypatch):
    model = small_unet()
    segmenter = wrap_model(model, preprocessing=NATIVE)
    before = state(model)
    for region in (Region("component", point=(0, 0)), Region("pixel", point=(999, 0))):
        with pytest.raises(InputError):
            for class_index in (0, 1, 2):
                explain(segmenter, picture(), region, class_index)
    with pytest.raises(InputError):
        explain(segmenter, picture(), Region("image"), 1, layers=["encoder.bn1"])
    monkeypatch.setattr(torch.autograd, "grad", lambda *_a, **_k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        explain(segmenter, picture(), Region("image"), 1)
    assert_untouched(model, before)


def test_frozen_and_trainable_networks_give_the_same_maps():
    first = explain(wrap_model(small_unet(), preprocessing=NATIVE), picture(), Region("image"), 1)
    trainable = small_unet().requires_grad_(True)
    second = explain(wrap_model(trainable, preprocessing=NATIVE), picture(), Region("image"), 1)
    for name in first.maps:
        np.testing.assert_allclose(first.maps[name].seg_grad, second.maps[name].seg_grad, rtol=1e-5, atol=1e-8)


def test_some_layers_give_the_same_maps_as_all():
    segmenter = small_segmenter(dtype=torch.float64)
    full = explain(segmenter, picture(), Region("image"), 1)
    for name in full.maps:
        alone = explain(segmenter, picture(), Region("image"), 1, layers=[name])
        assert list(alone.maps) == [name]
        np.testing.assert_allclose(alone.maps[name].seg_grad, full.maps[name].seg_grad, rtol=1e-9, atol=1e-12)


def test_the_same_call_gives_the_same_bits():
    segmenter = small_segmenter()
    first, second = (explain(segmenter, picture(), Region("mask"), 1) for _ in range(2))
    for name in first.maps:
        assert first.maps[name].seg_grad.tobytes() == second.maps[name].seg_grad.tobytes()


# --- bad input ------------------------------------------------------------------------------------------------------


def test_unknown_class_and_layer():
    segmenter = small_segmenter()
    with pytest.raises(InputError, match="no class 7"):
        explain(segmenter, picture(), Region("image"), 7)
    with pytest.raises(InputError, match=r"choose from encoder\.relu"):
        explain(segmenter, picture(), Region("image"), 1, layers=["nonsense"])
    with pytest.raises(InputError, match="no layer"):
        explain(segmenter, picture(), Region("image"), 1, layers=[])


def test_nan_pixels_are_refused():
    image = picture()
    image[3, 3] = np.nan
    with pytest.raises(InputError, match="not numbers"):
        explain(small_segmenter(), image, Region("image"))


def test_training_mode_is_refused():
    model = small_unet()
    segmenter = wrap_model(model, preprocessing=NATIVE)
    model.train()
    with pytest.raises(InputError, match="training mode"):
        explain(segmenter, picture(), Region("image"))


def test_all_black_image_is_explained():
    result = explain(small_segmenter(), np.zeros((64, 64, 3), np.float32), Region("image"), 1)
    assert all(np.isfinite(maps.seg_grad).all() for maps in result.maps.values())


def test_mask_of_the_result_is_the_argmax():
    result = explain(small_segmenter(), picture(), Region("mask"), 1)
    expected = class_mask(torch.from_numpy(result.segmentation.logits)) == 1
    assert np.array_equal(result.mask, expected.numpy())
    assert result.geometry == Geometry((64, 64), (64, 64), (64, 64), (0, 0))
