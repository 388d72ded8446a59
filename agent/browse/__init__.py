"""A run to look through: its rows, clusters and rounds as plain values, for the page and for other agents."""
