"""Classifiers: the embedder with a head, fine-tuned, distilled into a small student, and pruned."""
