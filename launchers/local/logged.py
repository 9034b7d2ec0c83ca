"""Imported last by the process that workers are forked from: what it and they say goes to the workers' log.

A worker that is begun just as Ctrl-C ends its parent would say so across the terminal, before it turns its
output there itself.
"""

from niobe.config.home import worker_log
from niobe.launchers.local.executor import write_output_to

write_output_to(worker_log())
