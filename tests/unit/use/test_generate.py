"""`generate` and `stream`: the same text in pieces, cut before a stop string, with the reason of its end."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    GPT2LMHeadModel,
    OpenAIGPTConfig,
    OpenAIGPTLMHeadModel,
    PreTrainedTokenizerFast,
    pipeline,
)

from transept.decode.hypothesis import Hypothesis
from transept.errors import InvalidData, UsageError
from transept.families import gpt2
from transept.hub.directory import save
from transept.hub.export import import_hf
from transept.use import generate as module
from transept.use.loaded import Loaded, load
from transept.use.reading import prompt_ids
from transept.use.text import UNKNOWN, Until, continued
from unit.hub import made as hub
from unit.use.made import bytes_pairs, shaken, theirs

PROMPTS = ["the cat", "paris is the capital of", "a", "who lived in london, and walked on the mat?"]
SPELLED = "Zürich 日本語 🙂🏽 naïve — done. Und\tmehr"


@pytest.fixture(scope="module")
def gpt() -> Loaded:
    return load(theirs("GPT2LMHeadModel"))


def test_greedy_texts_are_hugging_faces(gpt: Loaded) -> None:
    pipe = pipeline("text-generation", model=str(gpt.path))
    for prompt in PROMPTS:
        (wanted,) = pipe(prompt, max_new_tokens=9, do_sample=False, return_full_text=False)
        assert gpt.generate(prompt, max_tokens=9) == wanted["generated_text"]
        (whole,) = pipe(prompt, max_new_tokens=9, do_sample=False)
        assert gpt.generate(prompt, max_tokens=9, echo=True) == whole["generated_text"]


@pytest.mark.parametrize("search", [{}, {"temperature": 1.3, "seed": 5}, {"beam": 3}, {"top_k": 9, "n_best": 2}])
def test_prompts_of_several_lengths_are_each_alone(gpt: Loaded, search: dict[str, Any]) -> None:
    together = gpt.generate(PROMPTS, max_tokens=8, **search)
    for i, prompt in enumerate(PROMPTS):
        alone = gpt.generate(prompt, max_tokens=8, first=i, **search)
        assert (alone, alone.ids, alone.finish) == (together[i], together[i].ids, together[i].finish)
        assert alone.others == together[i].others
        assert len(alone.others) == search.get("n_best", 1) - 1
    assert gpt.generate([], **search) == []


@pytest.mark.parametrize("search", [{}, {"temperature": 1.5, "seed": 2}, {"temperature": 0.0}])
@pytest.mark.parametrize("echo", [False, True])
def test_a_stream_is_the_text_in_pieces(gpt: Loaded, search: dict[str, Any], echo: bool) -> None:
    for number, prompt in enumerate(PROMPTS):
        stream = gpt.stream(prompt, max_tokens=12, echo=echo, number=number, **search)
        pieces = list(stream)
        whole = gpt.generate(prompt, max_tokens=12, echo=echo, first=number, **search)
        assert "".join(pieces) == whole == stream.answer
        assert stream.answer is not None
        assert (stream.answer.ids, stream.answer.finish) == (whole.ids, whole.finish)
        assert all(pieces)


# ------------------------------------------------------------------ how long a text is, as their files say it


def asking(root: Path, source: Path, **asked: Any) -> Loaded:
    """The model of a directory, whose search says so much more."""
    shutil.copytree(source, root)
    file = root / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | asked))
    return load(root)


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize(
    "asked",
    [
        {"max_length": 22},
        {"max_length": 24, "min_length": 20},
        {"max_new_tokens": 5, "max_length": 22},
        {"max_length": 30, "min_new_tokens": 6, "min_length": 24},
        {"max_length": 20, "forced_eos_token_id": 0},
    ],
)
def test_answers_are_as_long_as_hugging_faces(gpt: Loaded, beams: int, asked: dict[str, Any], tmp_path: Path) -> None:
    """Their max_length and min_length count the prompt; so the answer to each prompt has another length."""
    with torch.no_grad():
        other = GPT2LMHeadModel.from_pretrained(gpt.path)
        other.transformer.wte.weight[0] *= 3.0  # else no answer ends
        other.save_pretrained(tmp_path / "sized")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(gpt.path / name, tmp_path / "sized" / name)
    own = asking(tmp_path / "asking", tmp_path / "sized", num_beams=beams, **asked)
    model, lengths = GPT2LMHeadModel.from_pretrained(own.path), set()
    for prompt in PROMPTS:
        ids = prompt_ids(own, prompt)
        wanted = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), pad_token_id=0)
        found = own.generate(prompt)
        assert found.ids == wanted[0, len(ids) :].tolist()
        lengths.add(len(found.ids))
    assert len(lengths) > 1 or "max_new_tokens" in asked
    own.save_pretrained(tmp_path / "again")
    again = json.loads((tmp_path / "again" / "generation_config.json").read_text())
    used = {key: value for key, value in asked.items() if not (key == "max_length" and "max_new_tokens" in asked)}
    used = {key: value for key, value in used.items() if not (key == "min_length" and "min_new_tokens" in asked)}
    assert {key: again[key] for key in used} == used
    assert load(tmp_path / "again").generate(PROMPTS) == own.generate(PROMPTS)


def test_who_asks_for_new_tokens_gets_them(gpt: Loaded, tmp_path: Path) -> None:
    own = asking(tmp_path / "m", gpt.path, max_length=14)
    assert len(own.generate(PROMPTS[0], max_tokens=30).ids) == 30
    assert own.generate(PROMPTS[0], max_tokens=9) == gpt.generate(PROMPTS[0], max_tokens=9)


def test_a_prompt_that_leaves_no_room_is_refused(gpt: Loaded, tmp_path: Path) -> None:
    own = asking(tmp_path / "m", gpt.path, max_length=4)
    with pytest.raises(
        InvalidData, match=r"sentence 2 has \d+ tokens, and with its answer it may have 4\n.*max_tokens"
    ):
        own.generate(["a", PROMPTS[3]])


# ------------------------------------------------------------------ a model without an end


def test_a_gpt_writes_up_to_a_length(tmp_path: Path) -> None:
    """It has no token that ends a text, and none that begins one."""
    torch.manual_seed(0)
    config = OpenAIGPTConfig(vocab_size=300, n_embd=32, n_layer=2, n_head=4, n_positions=48)
    model = shaken(OpenAIGPTLMHeadModel(config))
    model.save_pretrained(tmp_path / "theirs")
    backend = bytes_pairs()
    words = PreTrainedTokenizerFast(tokenizer_object=backend.backend_tokenizer, unk_token="<|endoftext|>")
    words.save_pretrained(tmp_path / "theirs")
    report = import_hf(tmp_path / "theirs", tmp_path / "ours")
    assert report is not None
    assert "greedy: sentences with other tokens, of 8" in [check.name for check in report.checks]
    gpt = load(tmp_path / "ours")
    assert (gpt.generation.special.ends, gpt.generation.special.bos) == ((), None)
    for prompt in PROMPTS:
        ids = prompt_ids(gpt, prompt)
        for beams, search in ((1, {}), (3, {"beam": 3})):
            wanted = model.generate(torch.tensor([ids]), max_new_tokens=9, num_beams=beams, do_sample=False)
            found = gpt.generate(prompt, max_tokens=9, **search)
            assert (found.ids, found.finish) == (wanted[0, len(ids) :].tolist(), "length")
    assert "".join(gpt.stream("the cat", max_tokens=9)) == gpt.generate("the cat", max_tokens=9)
    assert len(gpt.generate("the cat", temperature=1.0, n_best=2).ids) == 48 - len(prompt_ids(gpt, "the cat")) + 1
    free = gpt.generate("the cat", max_tokens=9)
    assert gpt.generate("the cat", max_tokens=9, until=free[3:5]).finish == "stop"
    with pytest.raises(InvalidData, match="an empty prompt, and this model has no token that a text begins with"):
        gpt.generate("")


def test_a_stop_string_cuts_before_itself_in_both(gpt: Loaded) -> None:
    free = gpt.generate(PROMPTS, max_tokens=14, temperature=1.2, seed=4)
    stops = [free[0][3:6], free[1][5:7], "never there", free[3][-2:]]
    found = gpt.generate(PROMPTS, max_tokens=14, until=stops, temperature=1.2, seed=4)
    cut = 0
    for number, (before, after) in enumerate(zip(free, found, strict=True)):
        places = [at for stop in stops if (at := before.find(stop)) >= 0]
        assert after == before[: min(places, default=None)]
        assert after.finish == ("stop" if places else before.finish)
        cut += bool(places)
        stream = gpt.stream(PROMPTS[number], max_tokens=14, until=stops, number=number, temperature=1.2, seed=4)
        assert "".join(stream) == after
        assert stream.answer is not None and stream.answer.finish == after.finish
    assert cut >= 3
    (beam,) = gpt.generate([PROMPTS[0]], max_tokens=14, beam=2)
    assert gpt.generate(PROMPTS[0], max_tokens=14, beam=2, until=beam[4:6]) == beam[: beam.find(beam[4:6])]


def test_the_reason_of_the_end(gpt: Loaded) -> None:
    assert gpt.generate(PROMPTS[0], max_tokens=3).finish == "length"
    assert len(gpt.generate(PROMPTS[0]).ids) == 48 - len(bytes_pairs()(PROMPTS[0])["input_ids"]) + 1, "all positions"
    ends = [one for one in gpt.generate([PROMPTS[0]] * 60, max_tokens=40, temperature=3.0) if one.finish == "end"]
    assert ends, "a random model ends now and then"
    assert all(one.ids[-1] == 0 and "<|endoftext|>" not in one for one in ends)


def test_an_empty_prompt_is_the_beginning_of_a_text(gpt: Loaded) -> None:
    pipe = pipeline("text-generation", model=str(gpt.path))
    (wanted,) = pipe("<|endoftext|>", max_new_tokens=6, do_sample=False, return_full_text=False)
    assert gpt.generate("", max_tokens=6) == wanted["generated_text"]


def test_a_prompt_is_open_at_its_end(gpt: Loaded, tmp_path: Path) -> None:
    assert prompt_ids(gpt, "the cat<|endoftext|>")[-1] == 0, "what was written stays"
    tokenizer = hub.tokenizer()
    model = gpt2.declare(vocab=tokenizer.vocab, width=16, heads=2, depth=1, length=20).build()
    save(tmp_path / "own", model, tokenizer=tokenizer)
    own = load(tmp_path / "own")
    assert prompt_ids(own, "the cat") == tokenizer.encode("the cat")[:-1], "no end token, which ends every text there"
    assert prompt_ids(own, "") == [tokenizer.bos]
    assert len(own.generate("the cat", max_tokens=4, method="greedy").ids) <= 4


def test_what_is_refused(gpt: Loaded) -> None:
    with pytest.raises(UsageError, match="a beam of 3 is known only at its end, so it cannot be streamed"):
        gpt.stream("a", beam=3)
    with pytest.raises(UsageError, match="the best of 2 draws"):
        gpt.stream("a", method="sample", n_best=2)
    with pytest.raises(UsageError, match="there is no search setting 'temprature'. Did you mean 'temperature'"):
        gpt.generate("a", temprature=1.0)
    with pytest.raises(UsageError, match=r"cannot fill: it is a decoder that reads text[\s\S]*It can generate, embed"):
        gpt.fill("a [MASK]")
    with pytest.raises(InvalidData, match=r"text 8 has \d+ tokens, and the model takes 48 \(it begins 'qxz"):
        gpt.generate(["a", "qxz" * 40], first=6)


def test_an_encoder_and_a_decoder_write_for_a_source(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("pair") / "m"
    save(root, hub.model(), tokenizer=hub.tokenizer())
    loaded = load(root)
    texts = ["a small house", "the cat sees the house"]
    assert loaded.generate(texts, max_tokens=9) == loaded.translate(texts, max_ratio=0.0, max_extra=9)
    stream = loaded.stream(texts[0], max_tokens=9, method="greedy")
    assert "".join(stream) == loaded.translate(texts[0], max_ratio=0.0, max_extra=9, method="greedy")


# ------------------------------------------------------------------ pieces


def spelling(gpt: Loaded, text: str, monkeypatch: pytest.MonkeyPatch, **options: Any) -> list[str]:
    """The pieces of a model that writes this text."""
    assert gpt.tokenizer is not None
    ids = gpt.tokenizer.encode(text)

    def follow(*_: object) -> Iterator[Hypothesis]:
        for count in range(1, len(ids) + 1):
            yield Hypothesis(ids[:count], 0.0, [0.0] * count, "length")

    with monkeypatch.context() as patched:
        patched.setattr(module, "follow", follow)
        return list(gpt.stream("the cat", **options))


def test_no_character_is_cut_in_half(gpt: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpt.tokenizer is not None
    assert len(gpt.tokenizer.encode("🙂")) == 4, "a token holds a part of it"
    pieces = spelling(gpt, SPELLED, monkeypatch)
    assert "".join(pieces) == SPELLED
    assert not any(UNKNOWN in piece for piece in pieces)
    assert "🙂" in pieces
    assert len(pieces) > 20


@pytest.mark.parametrize("stop", ["done", "本語 🙂", "é", "naïve — d", "mehr", "🏽", "Zürich"])
def test_a_stop_string_may_span_tokens(gpt: Loaded, monkeypatch: pytest.MonkeyPatch, stop: str) -> None:
    pieces = spelling(gpt, SPELLED, monkeypatch, until=[stop, "never"])
    assert "".join(pieces) == SPELLED.partition(stop)[0]


def test_a_beginning_of_a_stop_string_comes_late_but_comes(gpt: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "".join(spelling(gpt, "abc stop", monkeypatch, until="stopped")) == "abc stop"
    assert spelling(gpt, "ab", monkeypatch, until="abc") == ["ab"]


@given(st.text("abX", max_size=12), st.lists(st.text("abX", min_size=1, max_size=4), max_size=3))
def test_what_is_settled_never_changes(text: str, stops: list[str]) -> None:
    until = Until(stops, lambda ids: "")
    whole = text if (at := until.at(text)) is None else text[:at]
    for end in range(len(text) + 1):
        if until.at(text[:end]) is None:
            assert whole.startswith(until.settled(text[:end]))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.integers(0, 40))
def test_a_continuation_is_what_comes_after(text: str, cut: int) -> None:
    tokenizer = bytes_pairs().backend_tokenizer
    ids = tokenizer.encode(text).ids
    before, after = ids[:cut], ids[cut:]
    added = continued(lambda some: tokenizer.decode(some), before, after)
    if UNKNOWN not in tokenizer.decode(before):
        assert tokenizer.decode(before) + added == tokenizer.decode(ids)
