"""The evidence behind one score, a tab a question."""
