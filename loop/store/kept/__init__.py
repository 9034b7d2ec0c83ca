"""What follows from the structure records and is kept, so that no step makes it anew."""
