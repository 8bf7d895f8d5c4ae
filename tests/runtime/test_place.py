"""What a process elsewhere is told about where a command was given."""

import os
import sys
from dataclasses import replace

import pytest

from ltvm.errors import InputError
from ltvm.runtime.place import Place


@pytest.fixture
def _here(tmp_path, monkeypatch):
    """A directory and settings that a test may change."""
    for name in ("from", "to"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "from")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("LTVM_RESULTS", "results")
    monkeypatch.setenv("LTVM_DATA_ROOT", "~/data")
    monkeypatch.setenv("LTVM_CONFIG_DIRS", "mine:/abs")
    monkeypatch.setenv("PYTHONPATH", "mine")
    monkeypatch.setenv("LTVM_CACHE_LIMIT_GB", "2")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")


@pytest.mark.usefixtures("_here")
def test_paths_are_absolute_and_another_process_takes_them(tmp_path, monkeypatch):
    place = Place.here()
    assert place.settings["LTVM_RESULTS"] == str(tmp_path / "from" / "results")
    assert place.settings["LTVM_CONFIG_DIRS"] == f"{tmp_path / 'from' / 'mine'}:/abs"
    assert place.settings["LTVM_DATA_ROOT"] == "~/data"  # of whoever reads it
    assert place.settings["LTVM_CACHE_LIMIT_GB"] == "2"
    assert "OMP_NUM_THREADS" not in place.settings
    monkeypatch.chdir(tmp_path / "to")
    monkeypatch.setenv("LTVM_RESULTS", "elsewhere")
    monkeypatch.setenv("LTVM_OTHER", "of an earlier command")
    assert replace(place, process=("another", 1)).take()
    assert os.getcwd() == str(tmp_path / "from")  # noqa: PTH109
    assert os.environ["LTVM_RESULTS"] == str(tmp_path / "from" / "results")
    assert "LTVM_OTHER" not in os.environ
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert sys.path[0] == str(tmp_path / "from" / "mine")


@pytest.mark.usefixtures("_here")
def test_in_the_same_process_nothing_changes():
    before = dict(os.environ)
    assert not Place.here().take()
    assert dict(os.environ) == before


@pytest.mark.usefixtures("_here")
def test_a_directory_that_is_not_there_is_refused(tmp_path):
    place = replace(Place.here(), directory=str(tmp_path / "gone"), process=("another", 1))
    with pytest.raises(InputError, match="gone: not on .*allowed: a directory that all machines"):
        place.take()


@pytest.mark.usefixtures("_here")
def test_a_process_starts_with_the_threads_it_is_given():
    place = Place.here()
    assert place.at_start(3)["OMP_NUM_THREADS"] == "3"
    assert place.at_start(None)["OMP_NUM_THREADS"] == "7"
