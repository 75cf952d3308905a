"""The words that every family has beside its own: each changes what it says and nothing else, or is refused by name."""

import inspect
import re
from itertools import product

import pytest
import torch
from torch.testing import assert_close

from laws.subjects import decodes, families, lively, logits_of, on, reads_text, some_ids
from transept.errors import InvalidConfig
from transept.families.attentions import WORDS, attending
from transept.families.declared import declared
from transept.families.registry import all_families
from transept.models import Model, Seq2Seq
from transept.parts.attention import Attention
from transept.parts.core import Reference
from transept.parts.flexible import Flex
from transept.parts.pattern import Causal, First, Full, Window
from transept.parts.pattern_text import parse_pattern
from transept.parts.planner import Auto
from transept.parts.recall import Recall
from transept.parts.scores import Additive
from transept.parts.stack import Stack
from transept.spec import edit, part_from_dict, replace
from transept.topology import Topology

VALUES = {"pattern": "window(2)", "core": "Additive", "kv_heads": 1, "carries": 5}
VALUES |= {"recall": {"kind": "Recall", "neighbours": 2, "segment": 3, "size": 6}}


def told(name: str, **words: object) -> Topology:
    return declared({"family": name, **all_families()[name].TOY, **words}, 23)


def stacks(spec: Topology) -> list[Stack]:
    trunks = (
        (spec.encoder, spec.decoder) if isinstance(spec, Seq2Seq) else (spec.stack,) if isinstance(spec, Model) else ()
    )
    return [trunk for trunk in trunks if isinstance(trunk, Stack) and trunk.attentions()]


def test_every_word_has_a_value_here() -> None:
    assert set(VALUES) == set(WORDS)


@pytest.mark.parametrize("name", all_families())
def test_any_word_in_any_family(name: str) -> None:
    """What is built is another description that computes something; what is not is refused by the word."""
    plain, built = told(name), []
    for word, value in VALUES.items():
        try:
            spec = told(name, **{word: value})
        except InvalidConfig as error:
            refused = error.reason()
        else:
            refused = ""
        if refused:
            assert refused.startswith(f"model.{word}: ") and len(refused) > 50, refused
            assert word != "pattern" or not stacks(plain) or name == "linformer"
            continue
        assert stacks(spec) and (spec != plain or word in ("kv_heads", "carries")), word
        built.append(word)
        if reads_text(spec):
            assert logits_of(lively(spec), some_ids(2, 6), some_ids(2, 5)).isfinite().all()
    assert bool(stacks(plain)) == bool(built), built


def test_a_stack_that_looks_back_goes_on_doing_so() -> None:
    spec = told("transformer", pattern="window(3) | first(1)")
    encoder, decoder = (stack.attentions() for stack in stacks(spec))
    assert encoder[0].pattern == Window(3) | First(1)
    assert decoder[0].pattern == Causal() & (Window(3) | First(1)) and decoder[0].core == Auto()
    assert decoder[1].pattern == Full() and decoder[1].source == "memory"  # who reads the memory sees all of it
    assert told("gpt2", pattern="causal & window(3)").stack.attentions()[0].pattern == Causal() & Window(3)  # type: ignore[attr-defined]


def test_a_word_is_what_the_change_by_hand_is() -> None:
    plain = families()["gpt2"]
    assert told("gpt2", core="Flex") == edit(plain, on(Attention, core=Flex()))
    assert told("gpt2", core={"kind": "Additive"}) == edit(plain, on(Attention, core=Additive()))
    assert told("gpt2", kv_heads=2) == edit(plain, on(Attention, kv_heads=2))
    recall = Recall(2, 3, 6)
    assert told("gpt2", recall=VALUES["recall"]) == edit(plain, on(Attention, recall=recall))
    spec = told("gpt2", carries=5, positions="alibi")
    assert spec.stack.carries == 5  # type: ignore[attr-defined]
    assert all(
        attend.kv_heads == 1 for stack in stacks(told("transformer", kv_heads=1)) for attend in stack.attentions()
    )


def test_no_word_of_a_family_is_hidden_by_what_a_recipe_calls_its_size() -> None:
    for name, module in all_families().items():
        assert "size" not in inspect.signature(module.declare).parameters, name
    with pytest.raises(InvalidConfig) as caught:
        told("wikipedia", size=8)
    assert "model.block=8" in str(caught.value.remedy)


def test_a_family_that_has_the_word_is_told_by_its_own() -> None:
    module = all_families()["llama"]
    assert told("llama", kv_heads=4) == module.declare(**module.TOY | {"kv_heads": 4})
    assert told("transformer_xl", carries=7).stack.carries == 7  # type: ignore[attr-defined]


def test_a_pattern_by_the_planner_is_the_pattern_written_out() -> None:
    for name in ("gpt2", "bert", "transformer", "t5", "llama"):
        spec = told(name, pattern="window(2) | first(1)")
        same = edit(spec, lambda part: replace(part, core=Reference()) if isinstance(part, Attention) else part)
        source, target = some_ids(2, 9), some_ids(2, 9)
        got, want = (logits_of(lively(one), source, target) for one in (spec, same))
        assert_close(got, want, rtol=1e-5, atol=1e-5)
        plain = logits_of(lively(told(name)), source, target)
        assert not torch.allclose(got, plain, rtol=1e-3, atol=1e-3)
        if decodes(spec):
            assert all(stack.causal for stack in stacks(spec)[-1:])


MARKED = r"model.pattern: the pattern (.|\n)*\n             \^\^\^\^\^"


@pytest.mark.parametrize(
    ("name", "words", "reason", "remedy"),
    [
        ("lstm", {"pattern": "causal"}, "model.pattern: attentions in blocks are told so, and this is a recurrent", ""),
        ("bert", {"carries": 4}, "model.carries: what came before a text", ""),
        ("gpt2", {"carries": 4}, "model.carries: .*ends at 64, and what is carried .* goes on", "positions=alibi"),
        ("transformer", {"carries": 4}, "belong to a stack without a memory", ""),
        ("linformer", {"pattern": "window(3)"}, r"model.pattern: LowRank cannot honour the pattern window\(3\)", ""),
        ("llama", {"recall": "Recall"}, "model.recall: Rotary would turn what is remembered", "positions=buckets"),
        (
            "bigbird",
            {"blocks": "first", "pattern": "full"},
            "model.pattern: Repeated.* own pattern",
            "model.blocks=full",
        ),
        ("gpt2", {"kv_heads": 3}, "model.kv_heads: kv_heads=3 does not divide heads=4", ""),
        ("gpt2", {"core": "Slidin"}, "model.core: there is no part called 'Slidin'. Did you mean 'Sliding'?", ""),
        ("gpt2", {"core": "Sliding"}, "model.core: Sliding cannot honour the pattern causal", ""),
        ("gpt2", {"pattern": "causal & windw(3)"}, MARKED, "window(reach)"),
        ("gpt2", {"pattern": 3}, "model.pattern must be a part of kind", ""),
        ("bart", {"kv_heads": None}, "model.kv_heads: nothing is said", "Leave kv_heads out"),
        ("gpt2", {"pattern": None}, "model.pattern: nothing is said", "Leave pattern out"),
        ("gpt2", {"patern": "causal"}, "Did you mean 'pattern'", "pattern, core, kv_heads, recall, carries"),
    ],
)
def test_what_a_family_cannot_be_told_is_refused(name: str, words: dict[str, object], reason: str, remedy: str) -> None:
    with pytest.raises(InvalidConfig, match=reason) as caught:
        told(name, **words)
    assert remedy in str(caught.value.remedy)


def test_a_description_that_is_read_loses_no_remedy() -> None:
    wrong = {"kind": "Attention", "heads": 4, "pattern": {"kind": "Causal"}, "core": {"kind": "Sliding"}}
    with pytest.raises(InvalidConfig, match=r"^model.attend: Sliding cannot honour the pattern causal") as caught:
        part_from_dict(wrong, "model.attend")
    assert caught.value.remedy == "The core Auto takes the cheapest that can."


def test_the_place_of_a_word_is_told() -> None:
    places = {"model.pattern": "mine.yaml:4"}
    for family, text in (("gpt2", "causl"), ("linformer", "causal")):
        model = {"family": family, **all_families()[family].TOY, "pattern": text}
        with pytest.raises(InvalidConfig, match=r"^mine.yaml:4: model.pattern: "):
            declared(model, 23, where=places.get)


def test_what_hugging_face_has_no_word_for_is_told_by_its_word() -> None:
    bert = all_families()["bert"]
    with pytest.raises(InvalidConfig, match=r"pattern is window\(2\)") as caught:
        bert.to_hf(told("bert", pattern="window(2)", kv_heads=2))
    assert caught.value.remedy == "Train it without model.pattern or model.kv_heads."
    bert.to_hf(told("bert", core="Reference"))  # computes the same


REMEDY = re.compile(r"(\w+): ")


def test_a_remedy_for_hugging_face_names_words_that_the_family_has() -> None:
    for name, module in all_families().items():
        known = inspect.signature(module.declare).parameters
        for remedy in getattr(module, "HF_WORDS", {}).values():
            assert set(REMEDY.findall(remedy)) <= set(known), (name, remedy)


def test_what_a_word_makes_unsayable_is_said_without_it() -> None:
    """The remedy helps: a model of a family that Hugging Face has is said again once the word is left out."""
    met: dict[tuple[str, str], tuple[str, str | None]] = {}
    for name, word in product(all_families(), VALUES):
        module = all_families()[name]
        beside = {"blocks": "full"} if name == "bigbird" else {}
        own = word in inspect.signature(module.declare).parameters
        try:
            spec = told(name, **beside, **{word: VALUES[word]})
            module.to_hf(told(name, **beside))
        except (InvalidConfig, AttributeError):  # the family cannot be told so, or is none of theirs as it is
            continue
        met[name, word] = (f"Train it with {word}: null." if own else f"Train it without model.{word}."), None
        try:
            module.to_hf(spec)
        except InvalidConfig as error:
            met[name, word] = met[name, word][0], error.remedy
        else:
            del met[name, word]
    assert {("bart", "kv_heads"), ("bigbird", "pattern"), ("transformer", "kv_heads"), ("gpt2", "recall")} < met.keys()
    assert {each: told for each, (wanted, told) in met.items() if told != wanted} == {}


def test_a_pattern_that_looks_back_makes_a_model_that_does() -> None:
    spec = told("bert", pattern="causal", positions="alibi", carries=4, head="masked")
    assert isinstance(spec, Model) and spec.stack.causal and spec.stack.carries == 4  # type: ignore[attr-defined]
    spec = told("bert", pattern="causal & window(3)", recall=VALUES["recall"])
    assert [attend.recall for attend in stacks(spec)[0].attentions()] == [Recall(2, 3, 6)]


def test_all_of_bigbird_is_what_its_own_word_for_it_is() -> None:
    assert told("bigbird", blocks="full", pattern="full") == told("bigbird", blocks="full")
    ids = some_ids(2, 9)
    got, want = (
        logits_of(lively(told("bigbird", **words)), ids, ids) for words in ({"pattern": "full"}, {"blocks": "full"})
    )
    assert_close(got, want, rtol=1e-5, atol=1e-5)


def test_words_go_together() -> None:
    spec = told("gpt2", pattern="window(2)", core={"kind": "BlockSparse", "size": 4}, kv_heads=2, positions="alibi")
    (attend,) = {attend for stack in stacks(spec) for attend in stack.attentions()}
    assert (str(attend.pattern), attend.kv_heads) == ("causal & window(2)", 2)
    assert attending(spec, {"pattern": parse_pattern("causal")}) != spec
