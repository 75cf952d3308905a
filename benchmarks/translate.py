"""How fast sentences are translated by a beam of five, beside Hugging Face's `generate` and CTranslate2.

Every side has the same weights and the same token ids and gives back token ids; what they give is compared, sentence by
sentence. Hugging Face gets its sentences sorted by length, in batches of several sizes, so that its best one counts.
No token is suppressed and all have the same one limit of length, so that nobody does more than the others.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import peers
import torch
from ctranslate import convert, decode_ctranslate2
from peers import CTRANSLATE2, HUGGING_FACE, OURS, Figure, Row, Side
from texts import Texts, texts
from torch import Tensor
from train_translation import new_model, our_step

from transept.data.subwords import Subwords
from transept.decode.batch import pad
from transept.decode.config import Search
from transept.decode.hypothesis import Special
from transept.decode.search import search
from transept.heap import keep_freed_memory
from transept.hub.directory import locate, read, save
from transept.hub.generation import Generation
from transept.models import Seq2SeqLayer
from transept.train.config import InverseSqrt
from transept.train.schedule import rate_at

UNIT = "sentences/s"
BEAM, LIMIT = 5, 100  # hypotheses of a sentence, and the most tokens of one
SPECIAL = Special(bos=Subwords.bos, eos=Subwords.eos)
WARM_UP = 16  # sentences
Rows = Sequence[Sequence[int]]
Answers = list[list[int]]


# ------------------------------------------------------------------ the sides


def decode_ours(model: Seq2SeqLayer, sources: Rows) -> Answers:
    """By Transept, which makes its batches itself."""
    settings = Search(beam=BEAM, max_ratio=0.0, max_extra=LIMIT)
    return [found[0].tokens for found in search(model, sources, settings, SPECIAL)]


def decode_theirs(model: Any, batch: int, sources: Rows) -> Answers:
    """By Hugging Face, so many sentences at a time, those of like length together."""
    order = sorted(range(len(sources)), key=lambda i: len(sources[i]), reverse=True)
    answers: Answers = [[] for _ in sources]
    for at in range(0, len(order), batch):
        rows = order[at : at + batch]
        longest = len(sources[rows[0]])
        ids = torch.tensor([[*sources[i], *[Subwords.pad] * (longest - len(sources[i]))] for i in rows])
        real = torch.arange(longest) < torch.tensor([len(sources[i]) for i in rows])[:, None]
        found = model.generate(
            input_ids=ids,
            attention_mask=real.long(),
            num_beams=BEAM,
            length_penalty=1.0,
            early_stopping=False,
            do_sample=False,
            max_new_tokens=LIMIT,
            max_length=None,
        )
        for i, row in zip(rows, found.tolist(), strict=True):
            answers[i] = _until_end(row[1:])
    return answers


def _until_end(row: list[int]) -> list[int]:
    return row[: row.index(SPECIAL.eos) + 1] if SPECIAL.eos in row else row


def work(side: Side, folder: Path) -> list[Figure]:
    """The figures of one side, in this process."""
    sources = json.loads((folder / "sources.json").read_text())
    if side.options.get("keep"):
        keep_freed_memory()
    if side.who == CTRANSLATE2:
        return [timed(decode_ctranslate2(folder / "ctranslate2", side.format, BEAM, LIMIT), sources)]
    dtype: torch.dtype = getattr(torch, side.format)
    if side.who == OURS:
        ours = cast(Seq2SeqLayer, read(folder / "model").model.to(dtype))
        return [timed(partial(decode_ours, ours), sources)]
    from transformers import MarianMTModel

    attention, sizes = side.options["attention"], side.options["sizes"]
    theirs = MarianMTModel.from_pretrained(folder / "model", attn_implementation=attention, dtype=dtype)
    return [timed(partial(decode_theirs, theirs, size), sources, f"batches of {size}") for size in sizes]


def timed(decode: Callable[[Rows], Answers], sources: Rows, how: str = "") -> Figure:
    """All sentences once, after a few to warm up."""
    decode(sources[:WARM_UP])
    begun = peers.clock()
    answers = decode(sources)
    seconds = peers.clock() - begun
    return Figure(len(sources) / seconds, how, {"seconds": seconds, "answers": answers})


# ------------------------------------------------------------------ whether they say the same


def compare(rows: list[Row], model: Seq2SeqLayer, sources: Rows) -> None:
    """Write into each row's notes how many of its sentences are those of Hugging Face's fastest float32 row.

    Where others came out, both are scored by one model: a search that orders near ties otherwise has the same scores.
    """
    plain = [row for row in rows if row.role == "peer" and row.format == "float32"]
    true = max(plain, key=lambda row: row.value).facts["answers"]
    for row in rows:
        answers = row.facts.pop("answers")
        other = [i for i, answer in enumerate(answers) if answer != true[i]]
        row.facts |= {"equal": len(answers) - len(other), "tokens": sum(map(len, answers)) / len(answers)}
        note = f"{row.facts['equal']:,} of {len(answers):,} equal"
        if other:
            asked = [sources[i] for i in other]
            ahead = scored(model, asked, [answers[i] for i in other]) - scored(model, asked, [true[i] for i in other])
            row.facts |= {"better": int((ahead > 0).sum()), "furthest": float(ahead.abs().max())}
            note += f"; the others' scores {float(ahead.mean()):+.0e}, {row.facts['furthest']:.0e} at most"
        row.facts["note"] = note


@torch.inference_mode()
def scored(model: Seq2SeqLayer, sources: Rows, answers: Rows, batch: int = 64) -> Tensor:
    """The mean log-probability of each answer's tokens, (N,): the score of a search with length penalty 1."""
    found = []
    for at in range(0, len(sources), batch):
        some = answers[at : at + batch]
        source, valid = pad(sources[at : at + batch], model.device)
        longest = max(map(len, some))
        wanted = torch.tensor([[*row, *[Subwords.pad] * (longest - len(row))] for row in some])
        target = torch.cat([torch.full_like(wanted[:, :1], SPECIAL.bos), wanted[:, :-1]], 1)
        logprobs = model(source, target, valid).logits.log_softmax(-1).gather(2, wanted[..., None])[..., 0]
        lengths = torch.tensor([len(row) for row in some])
        real = torch.arange(longest) < lengths[:, None]
        found.append((logprobs * real).sum(1) / lengths)
    return torch.cat(found)


# ------------------------------------------------------------------ what they are given


def quickly_trained(size: str, given: Texts, updates: int) -> Seq2SeqLayer:
    """A model that knows little but when to end: one with fresh weights never does."""
    model = new_model(size, given.vocab, dropout=0.0)
    schedule = InverseSqrt(name="inverse_sqrt", rate=2e-3, warmup=max(1, updates // 4))
    keep_freed_memory()
    step = our_step(model, torch.float32, lambda update: rate_at(update, schedule))
    batches = given.batches(1024, updates)
    for update, batch in enumerate(batches, 1):
        loss = step(batch)
        if update % 50 == 0 or update == updates:
            peers.say(f"training a model to translate with: update {update} of {updates}, loss {loss:.2f}")
    return model.eval()


def sides(sizes: list[int], ctranslate2: bool) -> list[Side]:
    """All of them, in the order of their turns."""
    found = []
    for kind in ("float32", "bfloat16"):
        found.append(Side(OURS, kind, "ours", kind, {"keep": True}))
        for attention in ("sdpa", "eager"):
            told = {"attention": attention, "sizes": sizes}
            found.append(Side(HUGGING_FACE, f"{attention}, {kind}", "peer", kind, told))
        kept = {"attention": "eager", "sizes": sizes, "keep": True}
        found.append(Side(HUGGING_FACE, f"eager, {kind}, our malloc setting", "extra", kind, kept))
        found.append(Side(OURS, f"{kind}, malloc as it is", "extra", kind, {}))
    if ctranslate2:
        found += [Side(CTRANSLATE2, kind, "extra", kind, {}) for kind in ("float32", "int8")]
    return found


def prepare(asked: argparse.Namespace, folder: Path) -> None:
    """Make or take the model and the sentences, give them to all sides, print what comes back."""
    there = peers.machine()
    if asked.model:
        stored = read(asked.model)
        model, origin = cast(Seq2SeqLayer, stored.model), locate(asked.model).name
        if asked.data and stored.tokenizer is None:
            raise SystemExit(f"{asked.model} has no tokenizer, so it cannot read the sentences of {asked.data}")
        given = texts(asked.data, stored.tokenizer)
        if given.tokenizer is None and stored.tokenizer is not None:
            raise SystemExit("a model that reads text needs sentences: --data DIR")
    else:
        given = texts(asked.data)
        updates = 200 if asked.quick else asked.updates
        model, origin = quickly_trained(asked.size, given, updates), f"{asked.size}, {updates} updates"
    sources = given.test[: 100 if asked.quick else asked.sentences]
    sizes = [32, 100] if asked.quick else asked.batch_sizes
    save(folder / "model", model, generation=Generation(Search(beam=BEAM), SPECIAL, longest=1024))
    (folder / "sources.json").write_text(json.dumps(sources))
    all_sides = sides(sizes, convert(folder / "model", folder / "ctranslate2"))
    rows = peers.measure(Path(__file__), peers.chosen(all_sides, asked), folder, asked.rounds)
    compare(rows, model, sources)
    settings = {
        "model": origin,
        "text": given.name,
        "sentences": len(sources),
        "beam": BEAM,
        "tokens a sentence": f"{rows[0].facts['tokens']:.1f}",
    }
    if asked.json:
        peers.show_json("translate", UNIT, rows, settings, there)
    else:
        peers.show("translate", f"Translating by a beam of {BEAM}", UNIT, rows, settings, there)


def main() -> None:
    parser = peers.arguments("How fast a beam of five translates, beside Hugging Face and CTranslate2.")
    parser.add_argument("--model", type=Path, metavar="DIR", help="a model or run directory; else one is trained here")
    parser.add_argument("--updates", type=int, default=400, help="of that training")
    parser.add_argument("--sentences", type=int, default=1000, help="how many are translated")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[16, 32, 64, 128], help="of Hugging Face")
    peers.main(parser, prepare, work)


if __name__ == "__main__":
    main()
