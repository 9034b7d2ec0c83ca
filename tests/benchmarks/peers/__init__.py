"""Other programs on the same systems, each from PyPI in a folder of its own: none is a dependency."""
