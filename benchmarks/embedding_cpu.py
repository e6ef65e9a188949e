"""minilm on the CPU against sentence-transformers' ``encode``, on the same chunks.

Records of the demo generator, cut to 256 ... 4,096 tokens, in the chunks that Chartlight cuts (structure) and in plain
windows of 254 tokens. Both sides get the same distinct chunk texts, tokenise them and compute their vectors.
The ratio is the smallest of all cells.
"""

import argparse
import dataclasses
import os
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import core.torchvision_ops  # noqa: F401  isort: skip
import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from benchmarks._common import interleave, median, report
from core.ehr.demo import generate_demo
from core.ehr.markdown import serialize
from core.ehr.store import open_dataset
from core.embedding.encoders import Encoder, Piece, load_encoder
from core.embedding.registry import get_spec
from core.embedding.weights import find_weights

LENGTHS = (256, 512, 1024, 2048, 4096)


def long_records(tokens: int) -> list[str]:
    """Records of demo subjects, longest first, of at least ``tokens`` tokens in all."""
    with tempfile.TemporaryDirectory() as folder:
        generate_demo(Path(folder) / "demo", subjects=120, seed=1)
        dataset = open_dataset(Path(folder) / "demo")
        labels = dataset.labels("guo_los").group_by("subject_id").last().sort("subject_id")
        texts = [
            serialize(dataset.events(row["subject_id"]), row["prediction_time"], dataset.vocabulary).text
            for row in labels.iter_rows(named=True)
        ]
    return sorted(texts, key=len, reverse=True)


def distinct(encoder: Encoder, texts: list[str], chunking: str) -> list[Piece]:
    """The distinct pieces of some records."""
    spec = dataclasses.replace(encoder.spec, chunking=chunking)
    cutter = Encoder(spec, find_weights(spec), encoder.backend)
    return list({piece.text: piece for text in texts for piece in cutter.pieces(text)}.values())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=12_000, help="tokens of a cell")
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS, help="tokens of a record")
    args = parser.parse_args()
    encoder = load_encoder("minilm", device="cpu")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    peer = SentenceTransformer(str(find_weights(get_spec("minilm")).folder), device="cpu")
    records = long_records(args.tokens)
    cells: dict[str, float] = {}
    lowest_cosine, ours_speed, peer_speed = 1.0, [], []
    for chunking in ("structure", "window"):
        for length in args.lengths:
            count = max(1, args.tokens // length)
            chosen = [encoder.tokenizer.cut(text, length) for text in records[:count]]
            pieces = distinct(encoder, chosen, chunking)
            texts = [piece.text for piece in pieces]
            tokens = sum(map(encoder.model_tokens, pieces))
            ours, theirs = encoder.embed_pieces(pieces), peer.encode(texts)
            cosine = (ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
            lowest_cosine = min(lowest_cosine, float(cosine.min()))
            seconds = interleave(
                {
                    "ours": lambda pieces=pieces: encoder.embed_pieces(pieces),
                    "peer": lambda texts=texts: peer.encode(texts, show_progress_bar=False),
                },
                args.rounds,
            )
            ratio = median([theirs / ours for ours, theirs in zip(seconds["ours"], seconds["peer"])])
            cells[f"{chunking} {length}"] = round(ratio, 2)
            ours_speed.append(tokens / median(seconds["ours"]))
            peer_speed.append(tokens / median(seconds["peer"]))
            print(
                f"{chunking} {length}: {len(pieces)} chunks, {tokens} tokens, x{ratio:.2f}, cosine {cosine.min():.6f}"
            )
    ratio = min(cells.values())
    report(
        "embedding_cpu",
        ours=median(ours_speed),
        peer=median(peer_speed),
        unit="tokens/s",
        ratio=ratio,
        target="ratio >= 1.3 in every cell at cosine >= 0.9999",
        met=ratio >= 1.3 and lowest_cosine >= 0.9999,
        rounds=args.rounds,
        cosine=lowest_cosine,
        cells=cells,
        peer_name="sentence-transformers encode, batch 32",
    )


if __name__ == "__main__":
    main()
