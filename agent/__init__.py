"""The loop: what is decided, when it stops, who decides, and the command line."""
