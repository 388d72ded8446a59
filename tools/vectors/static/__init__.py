"""A static student of an embedding model."""
