"""Many rows parted into cells: k-means over all processors, and the neighbours that rows find in their cells."""
