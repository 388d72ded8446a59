"""Texts of benchmarks among the rows: files of them indexed, and what a row shares with one."""
