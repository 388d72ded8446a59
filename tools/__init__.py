"""One file per capability: plain functions from tables and arrays to a result."""
