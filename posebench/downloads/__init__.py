"""Published weights and datasets: fetched, checked, cached; no network code elsewhere."""
