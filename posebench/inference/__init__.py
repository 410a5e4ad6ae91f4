"""Inference: crops or whole images, network, flip, decoding or grouping, selection."""
