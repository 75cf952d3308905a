"""What makes one doubt a table, beside what the tables' own tests say of it."""

import pytest

from transept.data.config_senses import Hold
from transept.data.doubts import demand_labels, is_head, is_number
from transept.data.held import parted
from transept.errors import InvalidConfig, InvalidData, Where


def test_a_head_has_one_of_each_of_the_names_or_nearly() -> None:
    needed = [{"text", "sentence"}, {"label"}]
    assert is_head(["id", "Sentence", "LABEL"], needed)
    assert is_head(["text", "labels"], needed) and is_head(["txet", "label"], needed)
    assert not is_head(["txet", "lable"], needed)  # none of them stands for sure
    assert not is_head(["text", "mood"], needed) and not is_head(["a fine day", "1"], needed)


@pytest.mark.parametrize("missing", ["nan", "NaN", "NA", "n/a", "<NA>"])
def test_a_missing_number_is_no_class(missing: str) -> None:
    with pytest.raises(
        InvalidData, match=f"row 1: the label is '{missing}', a missing number among numbers, the first of 2"
    ):
        demand_labels(["1", missing, "0.5", missing], "row {}".format)


def test_words_may_be_called_as_they_like() -> None:
    demand_labels(["yes", "nan", "no"], "row {}".format)  # an Indian bread
    demand_labels(["1", "none", "2"], "row {}".format)  # no digit is one
    demand_labels(["nan", "nan"], "row {}".format)
    assert is_number("-1.5e3") and not is_number("nan") and not is_number("inf") and not is_number("one")


def test_a_class_of_one_example_in_line_1_may_be_the_line_of_names() -> None:
    classes = ["Label", "a", "a", "b", "b"]
    for name, asked in (("t.csv", True), ("t.jsonl", False)):
        with pytest.raises(InvalidData, match="a single example") as told:
            parted(5, Hold(share=0.5), lambda row, name=name: Where.of_line(name, row + 1), classes)
        assert ("is this the line of names? Then data.head=null" in str(told.value.remedy)) is asked
    with pytest.raises(InvalidData) as told:
        parted(3, Hold(share=0.5), lambda row: Where.of_line("t.csv", row + 1), ["a", "a", "b"])
    assert "data.head" not in str(told.value.remedy)


def test_more_held_out_than_there_are_is_answered_with_a_share() -> None:
    with pytest.raises(
        InvalidConfig, match="data.hold.last: 10,000 are to be held out, and there are 600 examples"
    ) as told:
        parted(600, Hold(last=10_000), "row {}".format)
    assert "data.hold='{share: 0.1}'" in str(told.value.remedy)
