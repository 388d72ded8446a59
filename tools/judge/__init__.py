"""What rows are worth: probe, objective, quality score, selection, labels, diversity."""
