"""Speed and complexity of a network."""
