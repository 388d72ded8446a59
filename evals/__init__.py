"""Experiments that show what the product is worth; each is a module whose ``run`` gives a table."""
