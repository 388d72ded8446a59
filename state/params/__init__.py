"""The sections of the configuration: every key, its default and its bounds.

Each section is also the input model of the tool of that name. Thresholds whose source is a paper or a peer name it
beside the key.
"""
