"""From rows to files: tables, the curated set, the report and the card."""
