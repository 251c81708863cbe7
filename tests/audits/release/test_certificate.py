"""Certificates: stored, read back, and stale with their sources."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from audits.errors import PolicyError
from audits.release.certificate import code_digest, load_certificate, standing, store_certificate
from tests.audits.release.made_up import CODE, certificate


def test_a_certificate_reads_back(tmp_path: Path):
    path = store_certificate(certificate(), tmp_path / "certificates")
    assert path.name == "mst.json"
    assert load_certificate("mst", path.parent) == certificate()


@pytest.mark.parametrize("name", ["aim", "../mst", "", "a/b"])
def test_no_file_is_no_certificate(tmp_path: Path, name):
    store_certificate(certificate(), tmp_path)
    assert load_certificate(name, tmp_path) is None


@pytest.mark.parametrize("content", ["", "{}", '{"synthesizer": "mst"}', "[1]", '{"extra": 1}'])
def test_a_damaged_certificate_is_refused(tmp_path: Path, content):
    (tmp_path / "mst.json").write_text(content)
    with pytest.raises(PolicyError):
        load_certificate("mst", tmp_path)


def test_a_name_that_is_no_word_is_not_stored(tmp_path: Path):
    with pytest.raises(ValueError, match="lower-case"):
        store_certificate(replace(certificate(), synthesizer="../mst"), tmp_path)


def test_the_digest_follows_names_and_contents_and_no_order(tmp_path: Path):
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text("x = 1\n")
    two.write_text("y = 2\n")
    before = code_digest([one, two])
    assert code_digest([two, one]) == before
    assert code_digest([one]) != before
    one.write_text("x = 2\n")
    assert code_digest([one, two]) != before
    with pytest.raises(OSError, match="three"):
        code_digest([tmp_path / "three.py"])


def test_what_is_wrong_is_said():
    assert standing(certificate(), synthesizer="mst", code_digest=CODE) == ()
    assert "no certificate" in standing(None, synthesizer="mst", code_digest=CODE)[0]
    assert "another" in standing(certificate(), synthesizer="aim", code_digest=CODE)[0]
    assert "stale" in standing(certificate(), synthesizer="mst", code_digest="1")[0]
    refuted = replace(certificate(), epsilon_lower_bound=float("nan"))
    assert "refute" in standing(refuted, synthesizer="mst", code_digest=CODE)[0]
