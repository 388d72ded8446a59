"""New rows for thin clusters: what is asked, which rows pass, and how they join the tables."""
