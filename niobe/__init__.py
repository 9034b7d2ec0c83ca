"""Niobe: an active-learning discovery loop for crystals."""
