"""What a round, its pages and tables cost as the records grow, with an oracle that answers at once, and one
thread for numerical libraries, as workers have."""

import os

from niobe.launchers.local.forking import ONE_THREAD

os.environ.update(ONE_THREAD)  # They read it as they are imported.
