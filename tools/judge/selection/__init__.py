"""Selection strategies of the literature: from vectors to the rows, so many, that a smaller set keeps.

Each is a pure function that gives sorted row positions (int64 [size]), the same for the same input and seed.
"""
