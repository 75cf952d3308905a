"""Every entry of a name table, both ways, and every way in which a file can disagree with it."""

import pytest
import torch
from torch import Tensor

from transept.errors import InvalidData
from transept.names import Constant, Copy, Drop, Names, Rule, Tied, fused, linear, padded, reshaped, same, transposed


def random(*shape: int) -> Tensor:
    return torch.randn(*shape)


TABLE = Names(
    same("embed.weight", "shared.weight", "wte.weight"),
    linear("blocks.{i}.norm", "layers.{i}.ln"),
    transposed("blocks.{i}.up.weight", "layers.{i}.fc.weight"),
    fused([f"blocks.{{i}}.{x}.weight" for x in "qkv"], "layers.{i}.qkv.weight"),
    fused([f"blocks.{{i}}.{x}.bias" for x in "qkv"], "layers.{i}.qkv.bias"),
    fused(["blocks.{i}.a", "blocks.{i}.b"], "layers.{i}.ab", turned=True),
    reshaped("head.bias", "final_bias", (7,), (1, 7)),
    padded("position.weight", "pos.weight", rows=5, their_rows=8),
    Tied("embed.weight", "lm_head.weight"),
    Copy("embed.weight", "decoder.weight"),
    Constant("zero_bias", (1, 7), 0.0, remedy="Declare a bias."),
    Drop("layers.{i}.mask", "a causal mask"),
    Drop("table", "computed", check=lambda t: None if t.sum() == 0 else "it is not empty"),
)


def ours() -> dict[str, Tensor]:
    state = {"embed.weight": random(7, 4), "head.bias": random(7), "position.weight": random(5, 4)}
    for i in range(11):  # two digits: 1 must not be taken for 10
        state |= {f"blocks.{i}.norm.weight": random(4), f"blocks.{i}.norm.bias": random(4)}
        state |= {f"blocks.{i}.{x}.weight": random(4, 4) for x in "qkv"}
        state |= {f"blocks.{i}.{x}.bias": random(4) for x in "qkv"}
        state |= {f"blocks.{i}.up.weight": random(6, 4), f"blocks.{i}.a": random(2, 3), f"blocks.{i}.b": random(2, 3)}
    return state


def test_there_and_back_is_equal_bit_for_bit() -> None:
    state = ours()
    theirs = TABLE.to_theirs(state)
    again, dropped = TABLE.to_ours(theirs, state)
    assert list(again) == list(state)
    assert all(torch.equal(again[name], value) for name, value in state.items())
    assert dropped == {}
    twice = TABLE.to_theirs(again)
    assert twice.keys() == theirs.keys()
    assert all(torch.equal(twice[key], value) for key, value in theirs.items())


def test_what_is_written() -> None:
    state = ours()
    theirs = TABLE.to_theirs(state)
    assert torch.equal(theirs["layers.10.fc.weight"], state["blocks.10.up.weight"].T)
    assert torch.equal(theirs["layers.1.qkv.weight"], torch.cat([state[f"blocks.1.{x}.weight"] for x in "qkv"]))
    assert torch.equal(theirs["layers.1.ab"], torch.cat([state["blocks.1.a"], state["blocks.1.b"]]).T)
    assert theirs["final_bias"].shape == (1, 7)
    assert theirs["pos.weight"].shape == (8, 4)
    assert not theirs["pos.weight"][5:].any()
    assert torch.equal(theirs["zero_bias"], torch.zeros(1, 7))
    assert theirs["lm_head.weight"] is theirs["shared.weight"]
    assert torch.equal(theirs["decoder.weight"], theirs["shared.weight"])
    assert theirs["decoder.weight"].data_ptr() != theirs["shared.weight"].data_ptr()
    assert all(value.is_contiguous() for value in theirs.values())
    assert "wte.weight" not in theirs


def test_a_file_holds_no_tied_name() -> None:
    theirs = TABLE.to_theirs(ours())
    assert theirs.keys() - TABLE.stored(theirs).keys() == {"lm_head.weight"}


def test_a_tied_tensor_may_be_kept_under_any_of_its_names() -> None:
    state = ours()
    theirs = TABLE.to_theirs(state)
    for lost in ("lm_head.weight", "shared.weight"):
        left = {key: value for key, value in theirs.items() if key != lost}
        again, _ = TABLE.to_ours(left, state)
        assert torch.equal(again["embed.weight"], state["embed.weight"])


def test_an_older_spelling_is_read() -> None:
    state = ours()
    theirs = TABLE.to_theirs(state)
    theirs["wte.weight"] = theirs.pop("shared.weight")
    again, _ = TABLE.to_ours(theirs, state)
    assert torch.equal(again["embed.weight"], state["embed.weight"])
    theirs["shared.weight"] = theirs["wte.weight"]
    with pytest.raises(InvalidData, match="twice"):
        TABLE.to_ours(theirs, state)


def test_dropped_names_are_told_with_the_reason() -> None:
    state = ours()
    theirs = TABLE.to_theirs(state) | {"layers.3.mask": random(1), "table": torch.zeros(3)}
    _, dropped = TABLE.to_ours(theirs, state)
    assert dropped == {"layers.3.mask": "a causal mask", "table": "computed"}


def changed(theirs: dict[str, Tensor], key: str, value: Tensor | None) -> dict[str, Tensor]:
    left = {k: v for k, v in theirs.items() if k != key}
    return left if value is None else left | {key: value}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("layers.4.ln.weight", None, r"1 tensor is missing: layers.4.ln.weight \(blocks.4.norm.weight\)"),
        ("layers.4.qkv.weight", None, r"3 tensors are missing: layers.4.qkv.weight \(blocks.4.q.weight\)"),
        ("layers.4.ln.wieght", random(4), r"unknown: layers.4.ln.wieght. Did you mean 'layers.4.ln.weight'\?"),
        ("layers.11.ln.weight", random(4), r"1 tensor is beyond this model: layers.11.ln.weight \(blocks.11"),
        ("layers.04.ln.weight", random(4), "unknown: layers.04.ln.weight"),
        ("prefix.layers.4.ln.weight", random(4), "unknown: prefix.layers.4.ln.weight"),
        ("layers.4.ln.weight.more", random(4), "unknown: layers.4.ln.weight.more"),
        ("lm_head.weight", random(7, 4), "lm_head.weight should be shared.weight under a second name"),
        ("lm_head.weight", random(7, 4).double(), "lm_head.weight should be shared.weight under a second name"),
        ("decoder.weight", random(7, 4), "decoder.weight should be shared.weight under a second name"),
        ("decoder.weight", None, "decoder.weight is missing"),
        ("zero_bias", torch.full((1, 7), 1e-6), "zero_bias is not 0 everywhere"),
        ("zero_bias", torch.zeros(1, 8), r"zero_bias has the shape \(1, 8\), expected \(1, 7\)"),
        ("pos.weight", torch.ones(8, 4), "3 rows beyond row 5 that are not 0"),
        ("pos.weight", torch.zeros(9, 4), r"pos.weight has the shape \(9, 4\)"),
        ("final_bias", torch.zeros(7), r"final_bias has the shape \(7,\), expected \(1, 7\)"),
        ("layers.4.qkv.bias", torch.zeros(13), "13 rows, which 3 weights cannot share"),
        ("table", torch.ones(3), "table cannot be dropped: it is not empty"),
    ],
)
def test_a_file_that_disagrees_is_refused(key: str, value: Tensor | None, message: str) -> None:
    state = ours()
    theirs = changed(TABLE.to_theirs(state), key, value)
    with pytest.raises(InvalidData, match=message) as caught:
        TABLE.to_ours(theirs, state, where="model.safetensors")
    assert str(caught.value).startswith("model.safetensors: ")


def test_a_misspelt_name_is_shown_with_what_is_missing() -> None:
    state = ours()
    theirs = TABLE.to_theirs(state)
    theirs["layers.4.ln.wieght"] = theirs.pop("layers.4.ln.weight")
    with pytest.raises(InvalidData, match=r"missing: layers\.4\.ln\.weight .*unknown: layers\.4\.ln\.wieght\. Did you"):
        TABLE.to_ours(theirs, state)


def test_a_weight_without_a_name_there_is_refused() -> None:
    with pytest.raises(InvalidData, match=r"1 tensor is without a name there: blocks\.3\.extra"):
        TABLE.to_theirs(ours() | {"blocks.3.extra": random(2)})


def test_a_half_of_a_fused_weight_is_refused() -> None:
    state = ours()
    del state["blocks.3.k.weight"]
    with pytest.raises(InvalidData, match=r"without a name there: blocks\.3\.q\.weight"):
        TABLE.to_theirs(state)


def test_long_lists_are_cut_with_their_count() -> None:
    state = ours()
    theirs = {key: value for key, value in TABLE.to_theirs(state).items() if not key.startswith("layers")}
    with pytest.raises(InvalidData, match=r"121 tensors are missing: .* and 118 more"):
        TABLE.to_ours(theirs, state)


def test_shapes_alone_are_read_without_data() -> None:
    state = {name: value.to("meta") for name, value in ours().items()}
    theirs = {key: value.to("meta") for key, value in TABLE.to_theirs(ours()).items()}
    theirs["table"] = torch.ones(3, device="meta")
    again, _ = TABLE.to_ours(theirs, state)
    assert {n: v.shape for n, v in again.items()} == {n: v.shape for n, v in state.items()}


def test_several_indices() -> None:
    table = Names(same("a.{i}.b.{j}", "x.{j}.{i}"))
    state = {f"a.{i}.b.{j}": torch.tensor([i, j]) for i in range(3) for j in (0, 12)}
    theirs = table.to_theirs(state)
    assert theirs["x.12.2"].tolist() == [2, 12]
    assert table.to_ours(theirs, state)[0].keys() == state.keys()


def test_a_table_that_contradicts_itself_is_ours_to_mend() -> None:
    with pytest.raises(AssertionError, match="different indices"):
        Rule(("a.{i}",), ("b",))
    with pytest.raises(AssertionError, match="older spelling"):
        Rule(("a",), ("b",), older=(("c", "d"),))
    with pytest.raises(AssertionError, match="two rules read"):
        Names(same("a", "x"), same("b", "x")).to_ours({"x": random(1)}, ["a", "b"])
    with pytest.raises(AssertionError, match="read and set aside"):
        Names(same("a", "x"), Drop("x", "twice")).to_ours({"x": random(1)}, ["a"])
    with pytest.raises(AssertionError, match="two rules write"):
        Names(same("a", "x"), same("a", "y")).to_theirs({"a": random(1)})
