"""Records: building, judging, storing."""
