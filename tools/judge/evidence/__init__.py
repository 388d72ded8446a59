"""Evidence on single rows: what the other rows say of a row's label, answer or text."""
