"""A row whose weights lie on a server."""

from __future__ import annotations

import json
from pathlib import Path

from server import Server

from posebench.downloads.weights_file import shipped_file
from posebench.registry import load_registry


def fetched_row(folder: Path, server: Server, licence: str = "MIT") -> Path:
    """A registry whose one row is demo_s, with its weights on a server."""
    entry = load_registry().find("demo_s")
    url = server.put("/weights", shipped_file(entry.checkpoint).read_bytes())
    network = json.dumps({"name": entry.network.name, "arguments": entry.network.arguments})
    (folder / "zoos").mkdir(parents=True)
    (folder / "zoos" / "probe.yaml").write_text(
        "zoo: probe\ntitle: probe\nlicence: MIT\n"
        f"inputs:\n  probe: {{size: [128, 96]}}\n"
        "rows:\n  - id: far\n    title: far\n    dataset: synthetic\n"
        f"    network: {network}\n    input: probe\n    protocol: demo_gt_flip@1\n"
        f"    file: {{container: safetensors, location: '{url}', licence: {licence}}}\n"
    )
    return folder
