"""Phonon verdicts against literature and PhononDB, per potential."""
