"""Risk heads on embeddings, baselines, metrics and the evidence behind a score."""
