"""Digits to measure on."""

import pytest

from ltvm.data import DataSet, mnist5k


@pytest.fixture(scope="module")
def digits():
    data = mnist5k.load()
    return DataSet(data.train.subset(200), data.test.subset(100))
