"""Fewer key/value heads: what stays equal, what becomes a mean, what is refused, and the directory that comes."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from typer.testing import CliRunner

from laws.subjects import decodes, families, lively, logits_of, some_ids
from transept import load
from transept.cli.main import app
from transept.errors import UsageError
from transept.families import gpt2, llama, transformer, wikipedia
from transept.hub.card import Record
from transept.hub.directory import read, save
from transept.hub.grouping import attentions, convert, group_heads, pooled
from transept.parts.stack import Stack
from transept.topology import Built

BLOCKS = {
    name: spec
    for name, spec in families().items()
    if all(isinstance(getattr(spec, side, Stack), Stack | type) for side in ("stack", "encoder", "decoder"))
    and decodes(spec)
}
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def run(*words: object) -> tuple[int, str, str]:
    ended = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    return ended.exit_code, ended.stdout, ended.stderr


@torch.no_grad()
def alike(model: Built, groups: int) -> Built:
    """The model with the heads of each group equal to the first of it, where they make keys and values."""

    def first(tensor: Tensor, heads: int) -> Tensor:
        each = tensor.unflatten(0, (groups, heads // groups, -1))
        return each[:, :1].expand_as(each).flatten(0, 2)[: len(tensor)].reshape(tensor.shape)

    for _, layer in attentions(model):
        for part in "kv":
            for parameter in layer.get_submodule(part).parameters():
                parameter.copy_(first(parameter, layer.kv_heads))
            if layer.shorten is not None:
                for parameter in layer.shorten.get_submodule(part).parameters():
                    parameter.copy_(first(parameter, layer.kv_heads))
    return model


@pytest.mark.parametrize("name", BLOCKS)
@torch.no_grad()
def test_equal_heads_become_one_and_nothing_changes(name: str) -> None:
    model = lively(BLOCKS[name])
    present = {layer.kv_heads for _, layer in attentions(model)}
    for groups in (1, 2):
        if min(present) < groups:
            continue
        same = alike(lively(BLOCKS[name]), groups)
        made = group_heads(same, groups, encoder=True)
        source, target = some_ids(2, 7), some_ids(2, 9)
        assert_close(logits_of(made, source, target), logits_of(same, source, target), **CLOSE)
        if max(present) > groups:  # and heads that were not equal do change something
            far = logits_of(group_heads(model, groups, encoder=True), source, target) - logits_of(model, source, target)
            assert float(far.abs().max()) > 1e-3


@pytest.mark.parametrize("name", BLOCKS)
def test_as_many_heads_as_there_are_are_the_model_itself(name: str) -> None:
    model = lively(BLOCKS[name])
    (present,) = {layer.kv_heads for _, layer in attentions(model)}
    made = group_heads(model, present)
    assert made.spec == model.spec
    for (one, before), (other, after) in zip(model.state_dict().items(), made.state_dict().items(), strict=True):
        assert one == other
        assert torch.equal(before, after)
        assert before.data_ptr() != after.data_ptr()


def test_a_head_is_the_mean_of_those_that_stand_together() -> None:
    heads = torch.arange(24.0).view(4, 3, 2)  # of three features each, from two
    assert_close(pooled(heads.flatten(0, 1), 4, 2), torch.stack([heads[:2].mean(0), heads[2:].mean(0)]).flatten(0, 1))
    third = torch.randn(1, 5).expand(3, 5).reshape(15)
    assert torch.equal(pooled(third, 3, 1), third[:5])  # to the last bit
    model = lively(gpt2.declare(**gpt2.TOY))
    made = group_heads(model, 2)
    (_, before), (_, after) = next(attentions(model)), next(attentions(made))
    assert after.kv_heads == 2
    want = before.k.weight.view(2, 2, 8, 32).mean(1).flatten(0, 1)
    assert_close(after.k.weight, want, rtol=1e-6, atol=1e-7)
    assert_close(after.v.bias, before.v.bias.view(2, 2, 8).mean(1).flatten(), rtol=1e-6, atol=1e-7)
    assert torch.equal(after.q.weight, before.q.weight)


def test_of_two_stacks_the_decoder_is_meant_and_the_encoder_where_it_is_asked() -> None:
    model = lively(transformer.declare(**transformer.TOY))

    def heads(made: Built) -> dict[str, set[int]]:
        found: dict[str, set[int]] = {"encoder": set(), "decoder": set()}
        for name, layer in attentions(made):
            found[name.split(".")[0]].add(layer.kv_heads)
        return found

    assert heads(group_heads(model, 2)) == {"encoder": {4}, "decoder": {2}}
    assert heads(group_heads(model, 2, encoder=True)) == {"encoder": {2}, "decoder": {2}}
    kinds = {layer.spec.source for _, layer in attentions(group_heads(model, 1)) if layer.kv_heads == 1}
    assert kinds == {"self", "memory"}


def test_what_is_made_trains_and_is_its_own() -> None:
    model = lively(wikipedia.declare(**wikipedia.TOY)).train()
    made = group_heads(model, 1)
    assert made.training
    made(some_ids(2, 6)).logits.square().sum().backward()
    assert all(parameter.grad is not None for name, parameter in made.named_parameters() if ".k.weight" in name)
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("family", "heads", "words"),
    [
        ("gpt2", 3, "4 key/value heads do not divide into 3 groups"),
        ("gpt2", 0, "4 key/value heads do not divide into 0 groups"),
        ("llama", 4, "has 2 key/value heads, and heads are merged, never split: 4 are more"),
        ("bahdanau", 1, "Recurrent is not blocks in a row"),
        ("lstm", 1, "Recurrent is not blocks in a row"),
    ],
)
def test_what_cannot_be_merged_is_refused_with_what_can(family: str, heads: int, words: str) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        group_heads(lively(families()[family]), heads)
    if "key/value" in words:
        assert "There can be 1, 2" in str(refused.value.remedy)


# ------------------------------------------------------------------ directories


def test_a_directory_becomes_another_whose_card_says_so(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = gpt2.declare(**gpt2.TOY).build().eval()
    save(tmp_path / "full", model, card=Record("full", does="It writes."))
    code, out, err = run("convert", tmp_path / "full", tmp_path / "few", "--kv-heads", 2)
    assert code == 0, err
    assert "2 key/value heads where there were 4" in out
    assert "takes 256 bytes where it took 512" in out  # 2 layers, 2 tensors, 2 heads of 8 features, 4 bytes
    assert "train it on" in err
    stored = read(tmp_path / "few")
    ids = some_ids(2, 9)
    assert_close(stored.model(ids).logits, group_heads(model, 2)(ids).logits, rtol=0, atol=0)
    card = (tmp_path / "few" / "README.md").read_text()
    assert card.index("# few") < card.index("Made of full by averaging key/value heads") < card.index("It writes.")
    assert "Transept alone reads it" in card  # no configuration of theirs has such a GPT-2
    assert len(load(tmp_path / "few").model.state_dict()) == len(model.state_dict())
    code, _, err = run("convert", tmp_path / "full", tmp_path / "few", "--kv-heads", 1)
    assert code == 2
    assert "a model is in this directory already" in err
    code, out, _ = run("convert", tmp_path / "full", tmp_path / "few", "--kv-heads", 1, "--overwrite", "--json")
    told = json.loads(out)
    assert (told["before"], told["after"], told["bytes_before"], told["bytes_after"]) == ([4], 1, 512, 128)


def test_a_llama_stays_one_that_theirs_reads(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save(tmp_path / "two", llama.declare(**llama.TOY).build())
    assert run("convert", tmp_path / "two", tmp_path / "one", "--kv-heads", 1)[0] == 0
    config = json.loads((tmp_path / "one" / "config.json").read_text())
    assert (config["model_type"], config["num_key_value_heads"]) == ("llama", 1)
    code, out, err = run("export", tmp_path / "one", tmp_path / "theirs", "--verify")
    assert code == 0, err
    assert "equal to Hugging Face" in out


def test_a_refusal_writes_nothing(tmp_path: Path) -> None:
    save(tmp_path / "full", gpt2.declare(**gpt2.TOY).build())
    code, _, err = run("convert", tmp_path / "full", tmp_path / "few", "--kv-heads", 3)
    assert (code, (tmp_path / "few").exists()) == (2, False)
    assert "There can be 1, 2, 4." in err
    with pytest.raises(UsageError, match="a model is in this directory already"):
        convert(tmp_path / "full", tmp_path / "full", 2)


def test_the_identity_says_no_word_of_training(tmp_path: Path) -> None:
    save(tmp_path / "full", gpt2.declare(**gpt2.TOY).build())
    code, out, err = run("convert", tmp_path / "full", tmp_path / "same", "--kv-heads", 4)
    assert code == 0
    assert "4 key/value heads where there were 4" in out
    assert err == ""


def wrong_means() -> dict[str, Any]:
    """Heads that stand apart, and their sum."""
    return {
        "apart": lambda tensor, present, wanted, how=torch.mean: (
            tensor.detach().unflatten(0, (present // wanted, wanted, -1)).mean(0).flatten(0, 1)
        ),
        "summed": lambda tensor, present, wanted, how=torch.mean: pooled(tensor, present, wanted, torch.sum),
    }


@pytest.mark.parametrize("wrong", wrong_means())
def test_mutants_are_caught(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transept.hub.grouping.pooled", wrong_means()[wrong])
    with pytest.raises(AssertionError):
        test_equal_heads_become_one_and_nothing_changes("gpt2")


def test_of_a_translator_the_memory_counts_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save(tmp_path / "full", transformer.declare(**transformer.TOY).build())
    made = convert(tmp_path / "full", tmp_path / "few", 1)
    depth = transformer.TOY["depth"]
    assert made.bytes_before == 4 * made.bytes_after == depth * 2 * 2 * 4 * 32  # both attentions, keys and values
    bare = convert(tmp_path / "few", tmp_path / "all", 1, encoder=True)
    assert bare.before == (1, 4)
    assert bare.bytes_after == made.bytes_after  # an encoder's keys are kept nowhere
    assert read(tmp_path / "all").model.spec.encoder_blocks.attentions()[0].kv_heads == 1
