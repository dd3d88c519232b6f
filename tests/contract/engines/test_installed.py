"""Which engines the contract was held against here."""

from __future__ import annotations

import pytest

from tests.contract.engines.cases import PACKAGES, lacking

SEPARATE = ("sam3",)


@pytest.mark.parametrize("name", PACKAGES)
def test_the_engine_is_tested_here(name: str):
    package = lacking(name)
    # Meta's package has an environment of its own (make test-models); what the test extra installs has to be there.
    assert package in (None, *SEPARATE)
    if package:
        pytest.skip(f"{name} is left out of the contract tests: {package} is not installed")
