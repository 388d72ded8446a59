"""What the selection strategies of the literature are worth: their published experiments, made again."""
