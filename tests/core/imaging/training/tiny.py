"""A recipe that trains in a second."""

from dataclasses import replace

from core.imaging.training.recipes import Round, get_recipe

TINY = replace(
    get_recipe("hippocampus"),
    encoder="tu-regnetx_002",
    encoder_depth=3,
    decoder_channels=(16, 8, 8),
    batch=4,
    crop=32,
    rounds=(Round(2, learning_rate=1e-2), Round(2, learning_rate=5e-3, bright=2, everything=True)),
)
