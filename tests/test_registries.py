"""The axes' registries: what importing one costs, and what it holds."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vaebench.base.errors import UserError
from vaebench.base.registry import Registry

REGISTRIES = [
    "vaebench.data:SOURCES",
    "vaebench.model.nets:NETWORKS",
    "vaebench.model.posteriors:POSTERIORS",
    "vaebench.model.likelihoods:LIKELIHOODS",
    "vaebench.model.regularizers:REGULARIZERS",
    "vaebench.densities:DENSITIES",
    "vaebench.measure.features:FEATURES",
    "vaebench.measure.metrics:METRICS",
]


def test_importing_the_registries_imports_neither_torch_nor_numpy():
    modules = ", ".join(address.partition(":")[0] for address in REGISTRIES)
    code = f"import sys, {modules}; print(*({{'torch', 'numpy'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("address", REGISTRIES)
def test_every_name_of_a_registry_leads_to_a_class_or_function(address):
    module, _, attribute = address.partition(":")
    registry = getattr(__import__(module, fromlist=[attribute]), attribute)
    assert all(callable(registry.load(name)) for name in registry.names())


def test_a_value_of_one_s_own_may_be_added_again_and_a_built_in_one_is_not_replaced():
    registry = Registry("likelihood", {"l2": "vaebench.model.likelihoods.l2:L2"})
    first, second = type("First", (), {}), type("Second", (), {})
    registry.add("own", first)
    registry.add("own", second)
    assert registry.load("own") is second
    with pytest.raises(UserError, match="'l2' is already registered"):
        registry.add("l2", first)
    with registry.adding("lent", first):
        assert registry.load("lent") is first
    assert registry.names() == ["l2", "own"]
