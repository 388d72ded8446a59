"""A server for agents of other programs (Model Context Protocol): they look and put forward, a person approves."""
