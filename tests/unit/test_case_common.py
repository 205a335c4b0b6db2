"""Arguments made safe before a use case sees them."""

from __future__ import annotations

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.case_common import optional_version, override
from ansible_collections.dataminer.web.plugins.module_utils.errors import InvalidVersion


@pytest.mark.parametrize("value", [10.10, 10, True, ["10.5.9"]])
def test_a_version_that_is_no_text_is_the_same_error_as_a_text_that_is_no_version(value: object) -> None:
    with pytest.raises(InvalidVersion) as caught:
        optional_version(value, "dataminer_target_version")
    assert "dataminer_target_version" in caught.value.message
    assert repr(value) in caught.value.found
    assert caught.value.remedy == "put dataminer_target_version in quotes"
    with pytest.raises(InvalidVersion):
        optional_version("the latest", "dataminer_target_version")


@pytest.mark.parametrize("value", [None, ""])
def test_nothing_and_the_empty_text_of_a_survey_mean_unset(value: object) -> None:
    assert optional_version(value, "x") is None
    assert override(value, "x") is None


def test_a_text_that_is_no_version_is_told_with_the_variable_that_holds_it() -> None:
    with pytest.raises(InvalidVersion) as error:
        optional_version("ten", "dataminer_target_version")
    said = str(error.value)
    assert said.startswith("dataminer_target_version isn't a version | Found: 'ten' is not a DataMiner version | Needed: a spelling such as")
    assert said.endswith("What to do: correct dataminer_target_version")
