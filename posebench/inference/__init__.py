"""Top-down inference: crop, network, flip, decode, select.

The names below are what this version can do; they stand here so that the catalogue can tell
what is built without importing torch.
"""

from __future__ import annotations

CROPS = frozenset({"hrnet_affine", "udp_affine", "alpha_pose_box"})
IMPLEMENTED = {
    "boxes": frozenset({"gt", "detector", "annotation"}),
    "decode": frozenset(
        {"argmax", "quarter", "softargmax", "dark", "integral_sigmoid", "combined"}
    ),
}
