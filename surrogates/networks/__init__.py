"""The networks: plain torch modules from a batch of tensors to one row of outputs a structure."""
