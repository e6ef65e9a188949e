"""What the Benchmark page is made of: its sources, its figures and a module a tab."""
