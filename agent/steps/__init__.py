"""The boxes of the cycle: each reads the session, calls tools, and records exactly one event."""
