"""The final model: trained, measured, quantised, loaded."""
