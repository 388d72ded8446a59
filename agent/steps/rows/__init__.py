"""What speaks against single rows, and what taking them out or relabelling them would be worth."""
