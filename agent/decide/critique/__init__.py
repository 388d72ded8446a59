"""Who judges the clusters: rules, or a language model that reads rows and has no tools."""
