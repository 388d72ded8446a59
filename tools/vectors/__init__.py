"""From texts to vectors, neighbours, clusters, maps and their scores."""
