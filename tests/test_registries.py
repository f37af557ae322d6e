"""The axes' registries: what importing one costs, and what it holds."""

from __future__ import annotations

import subprocess
import sys

import pytest

REGISTRIES = [
    "vaebench.data:SOURCES",
    "vaebench.model.nets:NETWORKS",
    "vaebench.model.posteriors:POSTERIORS",
    "vaebench.model.likelihoods:LIKELIHOODS",
    "vaebench.model.regularizers:REGULARIZERS",
    "vaebench.densities:DENSITIES",
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
