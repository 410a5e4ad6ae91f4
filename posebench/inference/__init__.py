"""Top-down inference: crop, network, flip, decode, select.

The names below are what this version can do; they stand here so that the catalogue can tell
what is built without importing torch.
"""

from __future__ import annotations

CROPS = frozenset({"hrnet_affine", "udp_affine"})
IMPLEMENTED = {
    "boxes": frozenset({"gt", "detector"}),
    "sanitise": frozenset({"clip_before_width", "clip_after_width", "none"}),
    "dummy_boxes": frozenset({False}),
    "flip_merge": frozenset({"heatmaps"}),
    "decode": frozenset({"argmax", "quarter", "softargmax", "dark"}),
    "inverse": frozenset({"affine", "udp"}),
    "rescoring": frozenset({"mean_visible", "box_times_mean_visible"}),
    "nms": frozenset({"none", "oks"}),
    "scorer": frozenset({"coco_oks"}),
}
