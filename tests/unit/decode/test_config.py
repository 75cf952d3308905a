"""What a person may say about a search, and what is refused with its reason."""

import pytest
from pydantic import ValidationError

from transept.decode.config import Search


def test_every_field_is_described():
    assert all(field.description for field in Search.model_fields.values())


def test_the_default_is_a_beam_of_five():
    assert Search() == Search(method="beam", beam=5, n_best=1, penalty="average", length_penalty=1.0, stop="bound")


def test_settings_survive_a_round_trip_as_text():
    settings = Search(method="sample", temperature=0.7, top_k=40, top_p=0.9, seed=7, n_best=3)
    assert Search.model_validate_json(settings.model_dump_json()) == settings


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"beem": 4}, "beem"),
        ({"beam": 0}, "greater than or equal to 1"),
        ({"beam": "5"}, "valid integer"),
        ({"method": "best"}, "'greedy', 'sample' or 'beam'"),
        ({"length_penalty": -1.0}, "greater than or equal to 0"),
        ({"top_p": 0.0, "method": "sample"}, "greater than 0"),
        ({"beam": 3, "n_best": 4}, "use beam: 4"),
        ({"method": "greedy", "n_best": 2}, "greedy finds one"),
        ({"method": "sample", "n_best": 2, "temperature": 0.0}, "draws at temperature 0"),
        ({"temperature": 0.7}, "use method: sample"),
        ({"method": "greedy", "top_k": 5}, "use method: sample"),
        ({"top_p": 0.5}, "use method: sample"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_reason(wrong, said):
    with pytest.raises(ValidationError, match=said):
        Search(**wrong)
