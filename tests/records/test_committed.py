"""The records under results/ stay readable, and hold no trace of the machine they were made on."""

from __future__ import annotations

from pathlib import Path

from posebench.records.store import load_records

RESULTS = Path(__file__).resolve().parents[2] / "results"


def test_every_committed_record_loads():
    records = load_records(RESULTS)
    found = {record.entry.key: record for record in records}
    assert {"demo/demo_s", "demo/demo_m", "demo/demo_l"} <= found.keys()
    for record in records:
        assert record.verdict == "reproduced" or (record.dataset and not record.dataset.complete)
        assert not any(word in record.model_dump_json() for word in ("/tmp/", "/home/", "/root/"))
