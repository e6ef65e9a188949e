"""Side-by-side measurements, one script a claim; see benchmarks/README.md."""
