"""Recryst: an agent that refines a training set, measures whether each action paid, and keeps the record."""

__version__ = "0.1.0"
