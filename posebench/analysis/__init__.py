"""What saved predictions and records say: scored again, compared, diagnosed, explained."""
