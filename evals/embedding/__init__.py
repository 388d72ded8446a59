"""What can be taken off the vectors, and what that costs."""
