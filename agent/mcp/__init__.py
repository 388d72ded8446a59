"""A server for other programs' agents, over the Model Context Protocol: they look and put forward, a person approves."""
