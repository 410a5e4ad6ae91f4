"""The test package of ``tests/plugin_package``, installed, and pictures for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

import posebench

PACKAGE = Path(__file__).resolve().parent.parent / "plugin_package"
IMAGES, WRONG = 40, 10


def install(folder: Path) -> Path:
    """Install the package into a folder, as pip does, and return the folder to import it from."""
    shutil.copytree(PACKAGE, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", "install", "-q", *options]
    target = folder / "site"
    subprocess.run([*command, "--target", str(target), str(folder / "source")], check=True)
    return target


def offer(folder: Path, name: str, points: dict[str, str], **modules: str) -> Path:
    """Write an installed package by hand: ``group:name`` -> ``module:attribute``, and modules."""
    metadata = folder / f"{name.replace('-', '_')}-2.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0\n")
    lines = [
        f"[posebench.{group}]\n{point} = {value}\n"
        for key, value in points.items()
        for group, point in [key.split(":")]
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(text)
    return folder


def draw(root: Path) -> Path:
    """Draw pairs of dots; the blue ones of the first ``WRONG`` images are annotated elsewhere."""
    generator = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    lines = ["image,width,height,red_x,red_y,blue_x,blue_y"]
    for index in range(IMAGES):
        picture = np.full((120, 160, 3), 128, np.uint8)
        red = generator.integers(30, 50, 2)
        blue = red + np.array([40, 20])
        for centre, colour in ((red, (0, 0, 255)), (blue, (255, 0, 0))):
            cv2.circle(picture, [int(x) for x in centre], 5, colour, -1)
        cv2.imwrite(str(root / "images" / f"{index}.png"), picture)
        wrong = blue + 12 * (index < WRONG)
        lines.append(",".join(map(str, (f"{index}.png", 160, 120, *red, *wrong))))
    (root / "dots.csv").write_text("\n".join(lines) + "\n")
    return root


def run(cwd: Path, *words: object, sites: tuple[Path, ...]) -> subprocess.CompletedProcess[str]:
    """Run Python in a process that finds the packages of some folders, and this posebench."""
    here = Path(posebench.__file__).parent.parent
    folders = [*sites] if here.name == "site-packages" else [*sites, here]
    path = os.pathsep.join(map(str, folders))
    environment = os.environ | {"PYTHONPATH": path, "POSEBENCH_CACHE": str(cwd / "cache")}
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
