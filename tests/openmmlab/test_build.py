"""What is said where mmpose is not installed, and the stand-ins for parts of it."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec

import pytest

from posebench.adapters import random_model, schemes
from posebench.evaluation.listing import find_entry, list_entries
from posebench.evaluation.protocols import requested_protocols
from posebench.install import install_command
from posebench.mmpose import stand_ins
from posebench.mmpose.index import digest_prefix, package_folder
from posebench.mmpose.stand_ins import StandIn, stand_in
from posebench.registry import load_registry
from posebench.types.errors import UserError

ROW = "mmpose/rtmpose_m_8xb256_420e_coco_256x192"
without_mmpose = pytest.mark.skipif(find_spec("mmpose") is not None, reason="mmpose is installed")


@pytest.fixture
def lacking(monkeypatch):
    """An environment without OpenMMLab's packages, wherever this runs."""
    monkeypatch.setattr(schemes, "find_spec", lambda name: None)
    schemes.absent_packages.cache_clear()
    yield
    schemes.absent_packages.cache_clear()


def test_a_row_says_how_to_get_what_builds_it(lacking):
    with pytest.raises(UserError, match="mmpose, mmengine, mmcv are not installed") as caught:
        random_model(find_entry(ROW))
    assert install_command("openmmlab") in caught.value.hint
    assert "pip install --no-deps mmpose==1.3.2" in caught.value.hint


def test_rows_need_openmmlab_unless_they_are_broken(lacking):
    statuses = [entry.status for entry in list_entries("mmpose")]
    assert set(s.partition(":")[0] for s in statuses) == {"needs openmmlab", "broken"}
    assert statuses.count("needs openmmlab") >= 200


@pytest.mark.parametrize("config", ["../../../tmp/evil.py", "/tmp/evil.py", None, 5])
def test_a_row_cannot_name_a_program_elsewhere(config, tmp_path, monkeypatch):
    """Configs are Python, and run when they are read."""
    from posebench.mmpose import build

    monkeypatch.setattr(build, "package_folder", lambda: pytest.fail("looked for"))
    row = find_entry(ROW)
    network = row.network.model_copy(update={"arguments": {"config": config}})
    with pytest.raises(UserError, match="a relative path"):
        build.build(row.model_copy(update={"network": network}))


@without_mmpose
def test_the_index_is_looked_for_in_the_package():
    with pytest.raises(UserError, match="MMPose is not installed") as caught:
        package_folder()
    # in a clone the extra, beside a wheel the packages themselves
    assert re.search(r"openmmlab|mmcv-lite", caught.value.hint)
    assert "mmpose==" in caught.value.hint


def test_listing_imports_none_of_it():
    code = (
        "import sys, posebench.evaluation.listing as c; assert c.list_entries('mmpose')\n"
        "print([m for m in ('torch', 'mmengine', 'mmcv', 'mmpose') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_stand_in_has_every_name_and_says_what_is_missing():
    module = StandIn("mmdet.utils", "pip install mmdet")
    with pytest.raises(UserError, match=r"reduce_mean of mmdet\.utils") as caught:
        module.reduce_mean(1)
    assert caught.value.hint == "pip install mmdet"
    with pytest.raises(AttributeError):
        module.__wrapped__  # noqa: B018  (inspect and copy ask for such names)


def test_what_is_installed_is_not_stood_in_for(monkeypatch):
    monkeypatch.setattr(
        stand_ins, "STAND_INS", {"json": ((), ""), "no_such_package_here": (("part",), "")}
    )
    before = sys.modules["json"]
    try:
        assert stand_in() == ("no_such_package_here",)
        assert sys.modules["json"] is before
        assert isinstance(sys.modules["no_such_package_here.part"], StandIn)
        assert stand_in() == ("no_such_package_here",), "again"
    finally:
        for name in ("no_such_package_here", "no_such_package_here.part"):
            sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("url", "digits"),
    [
        ("https://x/td-hm_res50_coco-256x192-04af38ce_20220923.pth", "04af38ce"),
        ("https://x/hrnet_w32_coco_512x512-bcb8c247_20200816.pth", "bcb8c247"),
        ("https://x/edpose_res50_coco_3rdparty.pth", None),
        # digits and date joined the other way
        ("https://x/cid_hrnet-w32_8xb20-140e_coco-512x512_42b7e6e6-20230207.pth", "42b7e6e6"),
        ("https://x/rtmpose-m-2d-20220913.pth", None),
        ("https://x/rtmw-dw-l-m_simcc-cocktail14_270e-256x192-20231122.pth", None),
        ("https://x/rtmpose-m_simcc-aic-coco_270e-256x192-63eb25f7_20230126.pth", "63eb25f7"),
        ("https://x/model-20220913_20230126.pth", "20220913"),
        ("https://x/model-ce138c15.pth", "ce138c15"),
    ],
)
def test_digits_of_the_digest_in_a_name(url, digits):
    assert digest_prefix(url) == digits


def test_outputs_that_are_no_heatmaps_have_one_decoding():
    registry = load_registry()
    entry = registry.find(ROW)
    with pytest.raises(UserError, match="gives simcc, which decode dark does not read") as caught:
        requested_protocols(entry, registry, "claim", {"decode": "dark"})
    assert caught.value.hint == "Give --decode simcc."
    other = registry.find("mmpose/td_hm_hrnet_w32_8xb64_210e_coco_256x192")
    with pytest.raises(UserError, match="heatmaps, which decode simcc does not read"):
        requested_protocols(other, registry, "claim", {"decode": "simcc"})


def test_models_of_whole_images_decode_in_their_own_way():
    registry = load_registry()
    unread = registry.find("mmpose/edpose_res50_8xb2_50e_coco_800x1333")
    with pytest.raises(UserError, match="decoding of its own"):
        requested_protocols(unread, registry, "claim", {})
    tagged = registry.find("mmpose/ae_hrnet_w32_8xb24_300e_coco_512x512")
    (claimed,) = requested_protocols(tagged, registry, "claim", {})
    assert (claimed.decode, claimed.flip) == ("associative_embedding_filled", True)
    (plain,) = requested_protocols(tagged, registry, "claim", {"flip": False})
    assert not plain.flip
    with pytest.raises(UserError, match="heatmaps and tags of whole images, which decode dark"):
        requested_protocols(tagged, registry, "claim", {"decode": "dark"})
    giving = registry.find("mmpose/rtmo_s_8xb32_600e_coco_640x640")
    assert requested_protocols(giving, registry, "common", {})[0].decode == "own"
    with pytest.raises(UserError, match="gives persons: its flip is false inside") as caught:
        requested_protocols(giving, registry, "claim", {"flip": True})
    assert caught.value.hint == "Leave --flip out."
    with pytest.raises(UserError, match="gives persons, which decode dark does not read"):
        requested_protocols(giving, registry, "claim", {"decode": "dark"})
    with pytest.raises(UserError, match="it takes no gt boxes"):
        requested_protocols(giving, registry, "claim", {"boxes": "gt"})
