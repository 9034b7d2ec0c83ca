"""CIF files: syntax in ``blocks``, space groups in ``symmetry``, orbits in ``sites``, and the ``crystal``."""
