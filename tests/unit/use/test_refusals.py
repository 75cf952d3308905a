"""What files beside a model ask for and is not done: refused by name, never left out in silence."""

import json
from pathlib import Path
from typing import Any

import pytest

from transept.data.said import Said
from transept.errors import InvalidConfig, InvalidData, UsageError
from transept.families import llama, roberta
from transept.hub.generation import Generation
from transept.hub.pooling import declared
from transept.use.loaded import load
from transept.use.preface import SUMMARY, Preface, preface
from unit.use.made import theirs

HERE = Path("somewhere")
MODULES = [
    {"type": "sentence_transformers.models.Transformer", "path": ""},
    {"type": "sentence_transformers.models.Normalize", "path": "2_Normalize"},
]


def sentences(**changes: Any) -> dict[str, str]:
    files: dict[str, Any] = {
        "modules.json": MODULES,
        "sentence_bert_config.json": {"max_seq_length": 64, "do_lower_case": False},
        "config_sentence_transformers.json": {"prompts": {"query": "Q: "}, "default_prompt_name": None},
    }
    return {name: json.dumps(content) for name, content in (files | changes).items()}


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            "sentence_bert_config.json",
            {"do_lower_case": "yes"},
            "do_lower_case must be true or false",
        ),
        (
            "config_sentence_transformers.json",
            {"prompts": {"query": "Q: "}, "default_prompt_name": "qeury"},
            "default_prompt_name is 'qeury', and there is no such prompt\n  There are: query, document",
        ),
        ("config_sentence_transformers.json", {"prompts": ["Q: "]}, "prompts must be a table of names and texts"),
        ("config_sentence_transformers.json", {"prompts": {"query": 3}}, "prompts must be a table of names and texts"),
    ],
)
def test_what_is_done_to_texts_is_said_as_it_should_be(file: str, content: Any, message: str) -> None:
    assert declared(sentences(), HERE).longest == 64
    with pytest.raises(InvalidConfig, match=message):
        declared(sentences(**{file: content}), HERE)


def test_a_model_that_writes_no_text_has_no_search() -> None:
    with pytest.raises(UsageError, match="this model writes no text: it is an encoder that reads text"):
        load(theirs("BertModel")).settings()


@pytest.mark.parametrize("given", ["x", [1], {"summarization": [1]}, {"summarization": "abc"}])
def test_settings_of_summaries_are_objects(given: Any) -> None:
    with pytest.raises(InvalidConfig, match="must be an object"):
        preface({"task_specific_params": given}, Generation(), SUMMARY)


def test_no_settings_of_summaries_are_the_models_own() -> None:
    for given in ({}, {"task_specific_params": None}, {"task_specific_params": {"translation": {}}}):
        assert preface(given, Generation(), SUMMARY) == Preface("", Generation().search)


def test_keys_of_qwen_that_compute_nothing() -> None:
    llama.from_hf({"model_type": "qwen2", "use_mrope": False})
    with pytest.raises(InvalidConfig, match="use_mrope is True"):
        llama.from_hf({"model_type": "qwen2", "use_mrope": True})


def test_the_vocabulary_that_silence_means() -> None:
    assert roberta.from_hf({"model_type": "xlm-roberta"}).embed.vocab == 30_522  # type: ignore[attr-defined]
    assert roberta.from_hf({"model_type": "roberta"}).embed.vocab == 50_265  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("words", "model_type", "kind"),
    [
        ("BertTokenizerFast", "gpt2", "word pieces"),
        ("PreTrainedTokenizerFast", "bert", "word pieces"),
        (None, "mt5", "t5"),
        ("BertJapaneseTokenizer", "bert", None),
        ("MyOwnTokenizer", "bert", None),
    ],
)
def test_a_class_of_another_kind_is_not_read_so(words: str | None, model_type: str, kind: str | None) -> None:
    config = json.dumps({} if words is None else {"tokenizer_class": words}).encode()
    assert Said(HERE, {"tokenizer_config.json": config}, model_type).kind == kind


def test_an_empty_key_is_an_unknown_key() -> None:
    said = Said(HERE, {"tokenizer_config.json": b'{"": 1}'}, "bert")
    with pytest.raises(InvalidData, match="unknown keys for a tokenizer"):
        said.done()
