"""What `run` is made of: packages, a network, clients."""
