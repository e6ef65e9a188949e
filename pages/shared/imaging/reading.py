"""How to read the maps: what M means, where Seg-Grad is blind to it, and what studies found."""

import streamlit as st

TEXT = """
**What is explained.** The score S is the sum of the class's logits over the region M. M is a constant: the
maps say what raises the class *in these pixels*, not why the border runs where it does.

**Seg-Grad CAM** averages each channel's gradient over the whole layer and weighs the channel's activation
with it. The region enters by one number a channel. At the last decoder layers it therefore shows where the
class has evidence *anywhere*: for a network that ends in a 1 x 1 convolution its normalised map there is the
same for a pixel, a lesion and the whole image.

**Seg-HiRes-Grad CAM** multiplies gradient and activation cell by cell. At the last layer it is each pixel's
part of S, zero outside of M (but for the head's width): nearly the mask itself, which looks convincing and
says little.

**Neither is proof.** For deeper layers no theorem makes either map faithful: the decoder is not linear, and
skip connections carry part of the score around the bottleneck. Compare several layers, then look at Evidence.

**What published studies found.** Arun et al. 2021 (Radiology: AI) tested eight saliency methods on chest
radiographs: each failed at least one of localisation, sensitivity to the weights, repeatability and
reproducibility. Saporta et al. 2022 (Nature Machine Intelligence): seven methods localised worse than
radiologists, most of all small or complex findings.
"""


def show() -> None:
    """Draw the tab."""
    with st.container(width=820):
        st.markdown(TEXT)
