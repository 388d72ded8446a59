"""Is the loop worth it: clean sets made crude with faults that are known, refined unattended, and measured."""
