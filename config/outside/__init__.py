"""What comes from outside, looked at before it is read."""
