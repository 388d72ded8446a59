"""Who judges the clusters."""
