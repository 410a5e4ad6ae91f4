"""Which row a name means, and what is said when none or several do."""

from __future__ import annotations

import pytest
from refusals import refused

from posebench.registry import Registry, shipped_registry
from posebench.types.errors import UserError

pytestmark = pytest.mark.light


@pytest.fixture(scope="module")
def registry() -> Registry:
    return shipped_registry()


@pytest.mark.parametrize(
    ("name", "dataset", "key"),
    [
        ("lpn/lpn_50_coco_256x192", None, "lpn/lpn_50_coco_256x192"),
        ("lpn_50_coco_256x192", None, "lpn/lpn_50_coco_256x192"),
        ("lpn_50", "coco", "lpn/lpn_50_coco_256x192"),
        ("lpn_50", "mpii", "lpn/lpn_50_mpii_256x256"),
        ("lpn_101", None, "lpn/lpn_101_coco_256x192"),
        ("tinypose_256x192", "coco", "paddledetection/tinypose_256x192"),
        ("hrnet_w32", "mpii", "paddledetection/hrnet_w32_256x256_mpii"),
        # A full name goes to any dataset.
        ("lpn_101_coco_256x192", "synthetic", "lpn/lpn_101_coco_256x192"),
        ("lpn/lpn_101_coco_256x192", "synthetic", "lpn/lpn_101_coco_256x192"),
        # A part of a name that one row has: its beginning, then anything in it.
        ("lpn/lpn_101_coco", None, "lpn/lpn_101_coco_256x192"),
        ("LPN_101_co", None, "lpn/lpn_101_coco_256x192"),
        ("scratch_mpii", None, "fpd/hourglass_student_fpd_scratch_mpii_256x256"),
        ("tinypose_2", None, "paddledetection/tinypose_256x192"),
    ],
)
def test_names_that_mean_one_row(
    name: str, dataset: str | None, key: str, registry: Registry
) -> None:
    assert registry.find(name, dataset).key == key


def test_every_row_is_found_by_its_key(registry: Registry) -> None:
    for entry in registry.entries:
        assert registry.find(entry.key) is entry


@pytest.mark.parametrize(
    ("name", "dataset", "words"),
    [
        ("lpn_50", None, ["2 rows", "lpn/lpn_50_coco_256x192", "lpn/lpn_50_mpii_256x256"]),
        ("tinypose", "coco", ["2 rows", "tinypose_256x192", "tinypose_128x96"]),
        ("simple_pose_resnet18_v1b", None, ["2 rows", "_128x96", "_256x192"]),
        # Three zoos have an HRNet-w32 on COCO.
        ("hrnet_w32", "coco", ["3 rows", "alphapose/", "paddledetection/hrnet_w32_384x288"]),
        ("lpn_101", "mpii", ["No row called 'lpn_101'", "'mpii'", "lpn/lpn_101_coco_256x192"]),
        ("lpn_51", None, ["Unknown model 'lpn_51'", "Did you mean", "lpn_50"]),
        ("tinypose_256x129", None, ["Did you mean tinypose_256x192"]),
        ("lpn/lpn_101_cocc", None, ["Did you mean lpn/lpn_101_coco_256x192"]),
        # A beginning comes before any other part, and is never enough where several have it.
        ("rtmpose_m", None, ["'rtmpose_m' names 11 rows", "mmpose/rtmpose_m_8xb64_210e_mpii"]),
        ("rtmpose_m", "coco", ["names 6 rows", "mmpose/rtmpose_m_8xb256_420e_coco_256x192"]),
        ("vitpose_huge", None, ["names 3 rows", "mmpose/td_hm_vitpose_huge_8xb64_210e_coco"]),
        ("td_hm", None, ["names 159 rows", "and 119 more (`posebench list td_hm`)"]),
        ("rtmpose_m", "synthetic", ["No row called 'rtmpose_m'", "'synthetic'"]),
        ("lpn_50", "cocco", ["Unknown dataset 'cocco'", "Did you mean coco?"]),
        ("s", None, ["Unknown model 's'"]),
        ("rtmpoze", None, ["Unknown model 'rtmpoze'", "Did you mean rtmpose?"]),
        ("qqqq", None, ["Unknown model 'qqqq'", "posebench list"]),
        ("", None, ["Unknown model ''"]),
    ],
)
def test_names_that_do_not(
    name: str, dataset: str | None, words: list[str], registry: Registry
) -> None:
    with pytest.raises(UserError) as caught:
        registry.find(name, dataset)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_protocols_by_key_or_bare_name(registry: Registry) -> None:
    assert registry.protocol("lpn_det56@1") is registry.protocol("lpn_det56")
    with refused("'lpn_det65'", hint=("lpn_det56", "hrnet_det56")):
        registry.protocol("lpn_det65")
    with refused("'lpn_det56@9'", hint="lpn_det56@1"):
        registry.protocol("lpn_det56@9")


def test_an_unknown_protocol_has_five_neighbours_however_far(registry: Registry) -> None:
    with pytest.raises(UserError) as caught:
        registry.protocol("foo")
    near = caught.value.hint.partition(" are ")[2].partition(";")[0].split(", ")
    assert len(near) == 5
    assert set(near) <= {protocol.name for protocol in registry.protocols.values()}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("rtmpose halpe26 384", "mmpose/rtmpose_m_8xb512_700e_body8_halpe26_384x288"),
        ("fpd/ TEACHER", "fpd/hourglass_teacher_mpii_256x256"),
        ("12 lpn-like", "demo/demo_s"),
    ],
)
def test_searching_wants_every_word_somewhere(text: str, key: str, registry: Registry) -> None:
    found = [entry.key for entry in registry.search(text)]
    assert key in found
    assert len(found) < 10
    assert registry.search("") == registry.entries
    assert registry.search("no one has this") == ()


def test_datasets_by_name(registry: Registry) -> None:
    assert registry.dataset("coco").images == 5000
    with pytest.raises(UserError, match=r"'cocco'. Did you mean coco\?"):
        registry.dataset("cocco")
