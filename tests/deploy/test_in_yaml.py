"""Names in yaml files that were written once lead somewhere."""

from pydoc import locate

import pytest

import speechbrain_neuronprune
from speechbrain_neuronprune.deploy import in_yaml

NAMES = [value for key, value in vars(in_yaml).items() if key.isupper()]
TAGS = [name for name in NAMES if name.startswith("!")]


@pytest.mark.parametrize("tag", TAGS)
def test_every_tag_leads_to_something_to_call(tag):
    kind, _, name = tag.partition(":")
    assert kind in ("!apply", "!name")
    assert callable(locate(name))


@pytest.mark.parametrize("ending", sorted({*NAMES} - {*TAGS}))
def test_every_ending_is_that_of_a_public_name(ending):
    assert ending.strip(".") in speechbrain_neuronprune.__all__
