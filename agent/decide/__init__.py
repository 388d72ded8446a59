"""What a round may do and who decides it: critics, candidates, policies, caps, and what a person may override."""
