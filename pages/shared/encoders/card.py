"""An encoder's card in short: what it is, what it needs, what is known to go wrong, and where that is from."""

import streamlit as st

from core.embedding.devices import device_of
from core.embedding.registry import EncoderSpec
from core.embedding.weights import count_parameters
from pages.shared import layout, resources
from pages.shared.encoders.state import EncoderState
from pages.shared.errors import plain

POOLINGS = {"mean": "mean over tokens", "text_mean": "mean over the record, not the instruction", "last": "last token"}


def show(state: EncoderState) -> None:
    """Draw the card."""
    spec = state.spec
    st.markdown(f"**{plain(spec.title)}**")
    layout.facts(
        [
            ("Vector", f"{spec.dimension:,}" if spec.dimension else "the server's"),
            ("Context", f"{spec.context:,} tokens" if spec.context else "the server's"),
            ("Reads at most", f"{spec.max_tokens:,} tokens" if spec.max_tokens else "the server's"),
            ("Pooling", POOLINGS.get(spec.pooling, "the server's")),
            ("Attention", "the server's" if spec.remote else spec.attention),
            ("Chunks", "none" if spec.chunking == "none" else f"{spec.chunking}, {spec.chunk_tokens} tokens"),
            ("Instruction", "one of each task" if spec.takes_instruction else "none: one vector for all tasks"),
        ],
        key="encoder-reads",
    )
    layout.facts(
        [
            ("Licence", spec.licence),
            ("Weights in bfloat16", weights_words(spec)),
            ("Memory", memory_words(state)),
            ("Weights", where(state)),
        ],
        key="encoder-needs",
    )
    _list("Known traps", spec)
    _list("Where this is from", spec)


def weights_words(spec: EncoderSpec) -> str:
    """Size of the weights in bfloat16; of an entry that does not say it, counted in its files."""
    parameters = spec.parameters or count_parameters(spec)
    return gigabytes(2 * parameters) if parameters else "the server's" if spec.remote else "unknown"


def memory_words(state: EncoderState) -> str:
    """What the encoder needs on this machine's device, beside what is free."""
    if state.spec.remote:
        return "none here: the server computes"
    device = device_of()
    if (held := resources.shelf().peek(state.spec.name)) is not None:
        return f"loaded on {held.device}, {gigabytes(held.memory)}"
    memory = state.memory
    need = f"needs {gigabytes(memory.needed)} on {device}" if memory.needed else f"unknown need on {device}"
    return need if memory.free is None else f"{need}, {gigabytes(memory.free)} free"


def where(state: EncoderState) -> str:
    """Where its weights are."""
    if state.missing is not None:
        return "no server configured" if state.spec.remote else "not on this machine"
    return "at the server" if state.spec.remote else "on this machine"


def gigabytes(size: int) -> str:
    """Write a number of bytes in GB, or MB where that is less than 100."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.0f} kB"


def _list(title: str, spec: EncoderSpec) -> None:
    lines = spec.traps if title == "Known traps" else spec.facts
    if lines:
        st.markdown(f":gray[:small[{title}]]\n" + "\n".join(f"- {plain(line)}" for line in lines))
