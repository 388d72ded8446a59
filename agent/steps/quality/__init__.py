"""The quality score of rows, and what it is learned from."""
