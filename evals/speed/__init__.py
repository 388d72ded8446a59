"""How fast the heavy parts are: each figure a ratio to a named peer that does the same work in the same run."""
