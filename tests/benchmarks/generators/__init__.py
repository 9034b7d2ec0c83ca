"""Generators side by side: the same request, oracle, relaxation and duplicates rule for every setting."""
