"""Scoring one patient on all 15 tasks against embedding the text once; attribution against its distinct chunks.

A record of about 4,096 tokens is made by joining demo charts; no cache, the encoder warm, the programs in turn.

    python -m benchmarks.score [--rounds 7]
"""

import argparse
import tempfile
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import polars as pl

from benchmarks._common import interleave, median, report
from core.ehr.demo import generate_demo
from core.ehr.markdown import SerializationOptions, serialize
from core.ehr.record import MARKDOWN_SECTIONS
from core.ehr.store import open_dataset
from core.embedding.cached import embed_texts
from core.embedding.encoders import load_encoder
from core.risk.attribution import neutral_rewrites, section_attribution
from core.risk.heads import load_heads
from core.risk.score import score_subject
from core.settings import get_settings

TOKENS = 4096


class Joined:
    """One chart made of several demo charts, long enough to fill the context."""

    def __init__(self, dataset, encoder):
        self.vocabulary = dataset.vocabulary
        self.at = datetime(2200, 1, 1)
        parts: list[pl.DataFrame] = []
        for subject_id in dataset.index.subject_ids[:400]:
            events = dataset.events(int(subject_id))
            if parts:
                last = parts[-1]["visit_id"].drop_nulls().max() or 0
                events = events.with_columns(pl.col("visit_id") + last + 1)
            parts.append(events)
            merged = pl.concat(parts).sort("time", nulls_last=False, maintain_order=True)
            self.frame = merged.with_columns(row=pl.int_range(merged.height, dtype=pl.Int64))
            self.at = self.frame["time"].max()
            self.text = serialize(self.frame, self.at, self.vocabulary).text
            self.tokens = encoder.count_tokens(self.text)
            if self.tokens >= TOKENS:
                break

    def events(self, subject_id: int) -> pl.DataFrame:
        """The joined chart, whatever the subject."""
        return self.frame


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    encoder = load_encoder("minilm")
    heads = load_heads(get_settings().heads / "minilm")
    with tempfile.TemporaryDirectory() as folder:
        generate_demo(Path(folder) / "demo", subjects=60)
        chart = Joined(open_dataset(Path(folder) / "demo"), encoder)
        score_subject(chart, 0, chart.at, encoder, heads)  # warm
        seconds = interleave(
            {
                "score": lambda: score_subject(chart, 0, chart.at, encoder, heads),
                "embed": lambda: embed_texts(encoder, [chart.text]),
            },
            args.rounds,
        )
        one = {"guo_los": heads["guo_los"]}
        options = SerializationOptions()
        sections = list(MARKDOWN_SECTIONS)
        changes = [{"drop": (s,)} for s in sections] + [{"keep": (s,)} for s in sections]
        texts = [serialize(chart.frame, chart.at, chart.vocabulary, replace(options, **c)).text for c in changes]
        record = serialize(chart.frame, chart.at, chart.vocabulary, options)
        texts = [record.text, *texts, *neutral_rewrites(record)]
        unique = list({(p.prefix, p.text): p for text in texts for p in encoder.pieces(text)}.values())

        def attribute() -> None:  # without a cache: every distinct chunk is computed, once
            section_attribution(chart, 0, chart.at, encoder, one)

        attribute()
        attribution = interleave(
            {"attribution": attribute, "chunks": lambda: encoder.embed_pieces(unique)}, args.rounds
        )
    mine, embed = median(seconds["score"]), median(seconds["embed"])
    whole, chunks = median(attribution["attribution"]), median(attribution["chunks"])
    print(f"{chart.tokens} tokens: score {mine:.3f} s, embedding {embed:.3f} s")
    print(f"attribution {whole:.3f} s, its {len(unique)} distinct chunks {chunks:.3f} s, ratio {whole / chunks:.2f}")
    report(
        "score",
        ours=mine,
        peer=embed,
        unit="s",
        ratio=mine / embed,
        target="score <= 2 x embedding once; attribution <= 1.3 x its distinct chunks",
        met=mine <= 2 * embed and whole <= 1.3 * chunks,
        rounds=args.rounds,
        tokens=chart.tokens,
        attribution_s=whole,
        attribution_chunks_s=chunks,
        attribution_ratio=whole / chunks,
    )


if __name__ == "__main__":
    main()
