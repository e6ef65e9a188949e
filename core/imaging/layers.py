"""Words on layers: where they stand in the network, which one to show first, what their maps can tell."""

from collections.abc import Sequence

from core.imaging.cams import CamResult


def default_layer(layers: Sequence[str]) -> str:
    """The layer to show first: the middle of the decoder, where a map is neither a blob nor the mask itself."""
    decoder = [name for name in layers if name.startswith("decoder.")] or list(layers)
    return decoder[len(decoder) // 2]


def bottleneck(layers: Sequence[str]) -> str | None:
    """The encoder's last layer."""
    encoder = [name for name in layers if name.startswith("encoder.")]
    return encoder[-1] if encoder else None


def describe_layer(name: str, layers: Sequence[str], stride: int, channels: int) -> str:
    """A layer's place, in words: "encoder, 1/4 resolution, 64 channels"."""
    part = "encoder" if name.startswith("encoder.") else "decoder" if name.startswith("decoder.") else "network"
    if name == bottleneck(layers):
        part = "bottleneck (encoder's end)"
    elif layers and name == layers[-1]:
        part = "decoder's end"
    scale = "full resolution" if stride == 1 else f"1/{stride} resolution"
    return f"{part}, {scale}, {channels} channels"


def reading_advice(name: str, result: CamResult, stride: int) -> str:
    """What is true of both maps at a layer, for the caption."""
    names = list(result.maps)
    if name == names[-1]:
        return (
            "This layer feeds the output almost directly. Seg-Grad hardly depends on the region here: it shows where "
            "the class has evidence anywhere. Seg-HiRes is nearly the logits inside the region, so it resembles the "
            "mask by construction."
        )
    if name.startswith("decoder.") and stride <= 4:
        return (
            "Late decoder layers look like the mask for Seg-HiRes and like a map of the class for Seg-Grad, whose "
            "only link to the region is one weight per channel."
        )
    if name.startswith("encoder.") and name == bottleneck(names):
        return (
            "The bottleneck holds object and context, but it is one branch: skip connections carry the rest of the "
            "score past it. No theorem makes either map faithful here."
        )
    if name.startswith("encoder."):
        return "Early encoder layers respond to edges and texture; their maps say little about objects."
    return "Here context can show. Neither map is proof of what the network uses: compare layers and see Evidence."
