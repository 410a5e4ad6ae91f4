"""One request to one record: opened, estimated, selected, scored and judged."""
