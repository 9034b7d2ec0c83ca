"""DFT that anyone can run, measured: GPAW beside experiment, all-electron codes and potentials."""
