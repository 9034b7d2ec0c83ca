"""The FireWorks launcher: rounds as small workflows, rockets that run them, a sweep that heals them."""
