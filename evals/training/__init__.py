"""What sets of texts teach the small language model, on the same budget of tokens."""
