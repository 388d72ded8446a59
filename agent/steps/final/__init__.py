"""The steps on the final model."""
