"""Networks and file formats compared with what the zoos' own code computed."""
