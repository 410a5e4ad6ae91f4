"""Annotations and boxes -> ground truth and persons."""
