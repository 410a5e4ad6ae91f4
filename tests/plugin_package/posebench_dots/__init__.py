"""What posebench reads when it lists models: no torch here, only names and bounds."""

from pathlib import Path

from posebench.inference.plugin_tables import Runtime
from posebench.keypoints import KeypointSet
from posebench.network_families import NetworkFamily
from posebench.types.network_arguments import Signature, Whole

NETWORK = NetworkFamily(
    "posebench_dots.network:DotsNet",
    Signature({"gain": Whole(1, 100)}, required=("gain",), multiple=4),
    stride=4,
)
KEYPOINTS = KeypointSet("dots_2", names=("red", "blue"), flip_pairs=(), sigmas=())
RUNTIME = Runtime("posebench_dots.network:torchscript")


def registry_folder() -> Path:
    """Folder with the package's rows, datasets and protocols."""
    return Path(__file__).parent / "registry"
