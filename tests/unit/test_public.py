"""The public names: each is there, each is what it is at home, and none is loaded before it is used."""

import subprocess
import sys

import pytest

import transept


def test_every_public_name_is_found_and_none_twice():
    assert sorted(set(transept.__all__)) == sorted(transept.__all__)
    assert all(getattr(transept, name) is not None for name in transept.__all__)
    assert set(transept.__all__) < set(dir(transept))
    assert {name for names in transept._HOMES.values() for name in names} == set(transept.__all__)


def test_a_public_name_is_the_one_of_its_module():
    from transept.parts.attention import Attention
    from transept.use.loaded import load

    assert transept.load is load
    assert transept.Attention is Attention


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Atention'"):
        _ = transept.Atention


def test_importing_the_package_loads_no_torch():
    code = "import transept, sys; assert 'torch' not in sys.modules; transept.Attention; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
