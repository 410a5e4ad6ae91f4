"""Evaluators: results and ground truth -> scores with intervals."""
