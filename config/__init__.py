"""The campaign file and the settings."""

EPOCHS = 60
"""Of a network, where neither the campaign file nor the command says; here, so that `niobe --help` reads no
model of the campaign file."""
