"""Rows that repeat: copies, near-duplicates, texts of a corpus or a benchmark, rows that say the same."""
