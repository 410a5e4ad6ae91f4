"""The public functions of posebench, and what only they and the command line need."""
