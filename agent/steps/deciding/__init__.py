"""Deciding: the step, the tools that a policy may look through before it chooses, and who takes the turns."""
