"""Files are checked before they are opened."""

from __future__ import annotations

import hashlib
import os

import pytest
from refusals import refusal

from posebench.checkpoints import files, guess_container, read_checkpoint, sha256_of, verify_file

CONTENT = b"posebench" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SHA1 = hashlib.sha1(CONTENT).hexdigest()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(CONTENT)
    return path


def test_a_file_that_agrees_passes(file):
    verify_file(file, sha256=SHA256.upper(), size=len(CONTENT), sha1=SHA1)
    verify_file(file, sha1=SHA1[:8])
    verify_file(file, sha256_prefix=SHA256[:8])
    verify_file(file)


def test_digest_is_of_all_blocks(file, monkeypatch):
    monkeypatch.setattr(files, "BLOCK", 1000)
    assert sha256_of(file) == SHA256


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ({"size": len(CONTENT) - 1}, "8999"),
        ({"sha256": "0" * 64}, "0" * 64),
        ({"sha256": SHA256[:-1]}, "sha256"),
        ({"sha256": ""}, "sha256"),
        ({"sha256_prefix": "00000000"}, "00000000"),
        ({"sha256_prefix": SHA256[:7]}, "sha256"),
        ({"sha1": "00000000"}, "00000000"),
        ({"sha1": SHA1[:7]}, "sha1"),
        ({"sha256": SHA256, "sha1": "1" * 40}, "sha1"),
    ],
)
def test_a_file_that_differs_is_refused(file, expected, said):
    assert said in refusal(verify_file, file, **expected).message


@pytest.mark.parametrize("action", [sha256_of, verify_file, guess_container, read_checkpoint])
class TestNoFile:
    def test_missing(self, action, tmp_path):
        error = refusal(action, tmp_path / "weights.pth")
        assert "No such file" in error.message

    def test_folder(self, action, tmp_path):
        assert "is a folder" in refusal(action, tmp_path).message

    def test_empty(self, action, tmp_path):
        path = tmp_path / "weights.pth"
        path.touch()
        assert "is empty" in refusal(action, path).message

    def test_pipe(self, action, tmp_path):
        path = tmp_path / "weights.pth"
        os.mkfifo(path)
        assert "not a regular file" in refusal(action, path).message


def test_unreadable(file, monkeypatch):
    def deny(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(file), "open", deny)
    for action in (sha256_of, guess_container):
        assert "Permission denied" in refusal(action, file).message
