"""Known or new: what the verdict says of disguised, substituted, ordered and different crystals."""
