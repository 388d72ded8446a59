"""Retrieval: what a question finds among notes, as they lie there and once they are curated."""
