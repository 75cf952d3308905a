"""How to use a model, for its card: code and a command that run, for what the model is."""

import json
import shlex
from collections.abc import Sequence

from transept.data.subwords import Subwords
from transept.data.tokenizer import Tokenizer
from transept.hub.kinds import reads, verb_of, writes_text
from transept.topology import Topology

PLACE = "PATH/TO/THIS/DIRECTORY"
BEGIN, END = "<!-- transept: use -->", "<!-- transept: end of use -->"  # what a card is made again between
# What each verb is shown with, where the model's own data shows nothing.
EXAMPLES = {
    "translate": "A text.",
    "generate": "A text that",
    "classify": "A text.",
    "tag": "A text.",
    "embed": "A text.",
    "answer": "Who wrote this?",
    "see": "picture.png",
    "hear": "sound.wav",
    "caption": "picture.png",
    "transcribe": "speech.wav",
}
CONTEXT = "A stranger wrote this."


def use(
    spec: Topology, architecture: str | None, tokenizer: Tokenizer | None, unsaid: Sequence[str] = (), example: str = ""
) -> str:
    """How to load a model and what to do with it. `architecture` is Hugging Face's class where it can load it.

    `unsaid` is how their search differs from the model's own, `example` an input that suits the model; of a pair of
    texts both, a TAB between them.
    """
    verb = verb_of(spec)
    if verb is not None and tokenizer is None and verb not in ("see", "hear"):
        verb = None
    shown = example if example and "`" not in example and "<!--" not in example else _example(verb, tokenizer)
    pair = verb == "classify" and "\t" in shown
    given = [shown, CONTEXT] if verb == "answer" else shown.split("\t", 1) if pair else [shown]
    code = ["import transept", "", f'model = transept.load("{PLACE}")']
    spoken = ", ".join(json.dumps(word, ensure_ascii=False) for word in given)
    spoken = f"({spoken})" if pair else spoken
    code += [f"print(model.{verb}({spoken}))"] if verb else ["print(model.spec)"]
    lines = [BEGIN, "## Use", "", *_python(code)]
    if verb:
        words = " ".join(json.dumps(word, ensure_ascii=False) if plain(word) else shlex.quote(word) for word in given)
        command = f"transept {verb} {PLACE} {words}"
        if pair:  # a TAB parts the two texts of a line
            command = f"printf '%s\\t%s\\n' {words} | transept {verb} {PLACE} --pair"
        lines += ["", f"On the command line: `{command}`"]
    if architecture is None:
        lines += ["", "No class of `transformers` has this shape, so Transept alone reads it."]
    else:
        lines += ["", _said(spec, unsaid), "", *_python(_theirs(verb, architecture, reads(spec), tokenizer, given))]
    return "\n".join([*lines, END])


def _example(verb: str | None, tokenizer: Tokenizer | None) -> str:
    """An input for a verb; a mask where one is filled, and a tag before it where texts are tagged."""
    if verb == "fill" and tokenizer is not None and tokenizer.mask is not None:
        return f"A {tokenizer.tokens([tokenizer.mask])[0]} text."
    text = EXAMPLES.get(verb or "", "A text.")
    tags = tokenizer.tags if isinstance(tokenizer, Subwords) else ()
    return f"{tags[0]} {text}" if tags else text


def plain(word: str) -> bool:
    """Whether a word stays itself between double quotes in a shell."""
    return not set(word) & set('"\\$`!')


def _python(code: Sequence[str]) -> list[str]:
    return ["```python", *code, "```"]


def _said(spec: Topology, unsaid: Sequence[str]) -> str:
    """How their class stands to the model."""
    if not writes_text(spec):
        return "With Hugging Face:"
    if unsaid:
        return f"With Hugging Face, whose `generate` does not search quite as Transept does: {'; '.join(unsaid)}."
    return "With Hugging Face, whose `generate` takes the search from `generation_config.json`:"


def _theirs(
    verb: str | None, architecture: str, kind: str, tokenizer: Tokenizer | None, given: Sequence[str]
) -> list[str]:
    """Code for their library."""
    text = ", ".join(json.dumps(word, ensure_ascii=False) for word in (given if verb == "classify" else given[:1]))
    names = ["AutoTokenizer", architecture] if kind == "text" and tokenizer is not None else [architecture]
    code = [f"from transformers import {', '.join(names)}", "", f'model = {architecture}.from_pretrained("{PLACE}")']
    if len(names) == 1:
        return code
    code += [f'tokenizer = AutoTokenizer.from_pretrained("{PLACE}")', f'given = tokenizer({text}, return_tensors="pt")']
    if verb in ("translate", "generate"):
        return [*code, "ids = model.generate(**given)", "print(tokenizer.decode(ids[0], skip_special_tokens=True))"]
    return [*code, "print(model(**given)[0].shape)"]
