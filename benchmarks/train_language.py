"""How fast models of running text train: a GPT of letters beside a plain loop, and BERT-mini beside Hugging Face's.

Every side has the same weights to begin with, the same batches and dropout, and AdamW with the same decay and clipping;
a step is forward, loss, backward and optimiser. Transept's step is the one that `transept train` takes. The plain loop
of --task language is a GPT-2 of torch's modules and its fused attention, as nanoGPT is; that of --task masked is
Hugging Face's BertForMaskedLM in each of its attentions and number formats, and beside it their Trainer, which has the
same model.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import peers
import their_trainer
import torch
from peers import HUGGING_FACE, OURS, Figure, Side
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F
from train_translation import check

from transept.data.batches import IGNORED
from transept.data.masking import Masking
from transept.data.text_batches import TextBatch
from transept.families import bert, gpt2
from transept.heap import keep_freed_memory
from transept.hub.directory import read, save
from transept.models import ModelLayer
from transept.parts.loss import Loss, Smoothing
from transept.tasks.language import next_token_loss
from transept.tasks.masked import masked_loss
from transept.tasks.measure import judging
from transept.tasks.task import Task
from transept.train.config import Optimizer
from transept.train.flat import Flat
from transept.train.optimizer import FlatAdam
from transept.train.update import gather
from transept.train.workers import Workers

PLAIN, TRAINER = "Plain torch", "Hugging Face's Trainer"
RATE, BETAS, EPS, DECAY, CLIP = 1e-3, (0.9, 0.99), 1e-8, 0.1, 1.0
AGAINST = {"both": (HUGGING_FACE, TRAINER), "loop": (HUGGING_FACE,), "trainer": (TRAINER,)}
SETTINGS = {  # the same as the Trainer calls it; it leaves biases and norms without decay by itself
    "learning_rate": RATE,
    "adam_beta1": BETAS[0],
    "adam_beta2": BETAS[1],
    "adam_epsilon": EPS,
    "weight_decay": DECAY,
    "max_grad_norm": CLIP,
}
LETTERS, PIECES, MASK = 65, 8000, 4  # tokens; the mask's id in a vocabulary of BERT's

Step = Callable[[TextBatch], float]
LOSS = {"language": next_token_loss, "masked": masked_loss}


# ------------------------------------------------------------------ the sides


class Question:
    """What is differentiated: all that an update asks of a task."""

    def __init__(self, task: str) -> None:
        self.of = LOSS[task]

    def loss(self, model: nn.Module, batch: TextBatch) -> Loss:
        return self.of(model, batch, Smoothing())


def our_step(model: nn.Module, dtype: torch.dtype, question: Question) -> Step:
    """A step of `transept train`; returns the mean loss."""
    flat = Flat(model, dtype, "matrices")
    adam = FlatAdam(flat, Optimizer(name="adamw", betas=BETAS, eps=EPS, weight_decay=DECAY), CLIP)
    task, workers = cast("Task[TextBatch]", question), Workers()
    model.train()
    count = 0

    def step(batch: TextBatch) -> float:
        nonlocal count
        count += 1
        sums = gather(task, model, flat, cast(Any, [batch]), range(1), (count, 0), workers)
        adam.step(RATE, sums.tokens)
        return sums.total / sums.tokens

    return step


class PlainBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.o = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        q, k, v = self.qkv(self.norm_1(x)).split(width, dim=2)
        q, k, v = (t.view(batch, length, self.heads, -1).transpose(1, 2) for t in (q, k, v))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o(mixed.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(F.gelu(self.up(self.norm_2(x))))


class PlainGpt(nn.Module):
    """GPT-2 of torch's modules."""

    def __init__(self, vocab: int, width: int, heads: int, depth: int, length: int) -> None:
        super().__init__()
        self.table, self.position = nn.Embedding(vocab, width), nn.Embedding(length, width)
        self.blocks = nn.ModuleList(PlainBlock(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.table(ids) + self.position(torch.arange(ids.size(1)))
        for block in self.blocks:
            x = block(x)
        return F.linear(self.norm(x), self.table.weight)

    def take(self, state: dict[str, torch.Tensor]) -> None:
        """The weights of a model of ours."""
        own = {"table.weight": state["embed.table.weight"], "position.weight": state["embed.position.weight"]}
        for part in ("weight", "bias"):
            own[f"norm.{part}"] = state[f"stack.norm.{part}"]
            for i in range(len(self.blocks)):
                ours, mine = f"stack.blocks.{i}.", f"blocks.{i}."
                own[f"{mine}qkv.{part}"] = torch.cat([state[f"{ours}attention.{x}.{part}"] for x in "qkv"])
                for name, there in (
                    ("o", "attention.o"),
                    ("up", "feedforward.up"),
                    ("down", "feedforward.down"),
                    ("norm_1", "attention_norm"),
                    ("norm_2", "feedforward_norm"),
                ):
                    own[f"{mine}{name}.{part}"] = state[f"{ours}{there}.{part}"]
        self.load_state_dict(own)


def plain_loss(model: nn.Module, batch: TextBatch, dtype: torch.dtype) -> torch.Tensor:
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        return F.cross_entropy(model(batch.inputs).flatten(0, 1), batch.labels.flatten())


def their_loss(model: Any, batch: TextBatch, dtype: torch.dtype) -> torch.Tensor:
    """As their users write it: the loss comes with the labels."""
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        return cast(torch.Tensor, model(input_ids=batch.inputs, labels=batch.labels).loss)


def plain_step(model: nn.Module, loss_of: Callable[[TextBatch], torch.Tensor], fused: bool) -> Step:
    """A step of a plain loop, with the decay of matrices alone, as nanoGPT's."""
    groups = [
        {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": DECAY},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    adam = torch.optim.AdamW(groups, lr=RATE, betas=BETAS, eps=EPS, fused=fused)
    model.train()

    def step(batch: TextBatch) -> float:
        loss = loss_of(batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        adam.step()
        adam.zero_grad(set_to_none=True)
        return float(loss.detach())

    return step


def work(side: Side, folder: Path) -> list[Figure]:
    """The figures of one side, in this process."""
    batches, settings = read_batches(folder / "batches.safetensors"), json.loads((folder / "settings.json").read_text())
    dtype: torch.dtype = getattr(torch, side.format)
    task, warm_up = settings["task"], settings["warm_up"]
    torch.manual_seed(0)
    stored = cast(ModelLayer, read(folder / "model").model)
    if side.who == OURS:
        keep_freed_memory()
        question = Question(task)
        with judging(stored):
            at_first = question.loss(stored, batches[0])
        start = float(at_first.total) / at_first.count
        return [timed(our_step(stored, dtype, question), batches, warm_up, "", start)]
    found = []
    for how, fused in (("fused AdamW", True), ("AdamW", False)):
        if side.who == PLAIN:
            model: nn.Module = PlainGpt(**settings["shape"])
            cast(PlainGpt, model).take(dict(stored.state_dict()))
            loss_of = partial(plain_loss, model, dtype=dtype)
        else:
            from transformers import BertForMaskedLM

            model = BertForMaskedLM.from_pretrained(
                folder / "model", attn_implementation=side.options["attention"], dtype=torch.float32
            )
            loss_of = partial(their_loss, model, dtype=dtype)
        with judging(model):
            start = float(loss_of(batches[0]))
        if side.who == TRAINER:
            seconds, loss = their_trainer.trained(
                model, batches, warm_up, how, dtype != torch.float32, folder / "trainer", **SETTINGS
            )
            found.append(figure(batches[warm_up:], seconds, how, start, loss))
        else:
            found.append(timed(plain_step(model, loss_of, fused), batches, warm_up, how, start))
    return found


def timed(step: Step, batches: list[TextBatch], warm_up: int, how: str, start: float) -> Figure:
    """Steps over all batches; those of the warm-up do not count."""
    for batch in batches[:warm_up]:
        step(batch)
    begun = peers.clock()
    losses = [step(batch) for batch in batches[warm_up:]]
    seconds = peers.clock() - begun
    return figure(batches[warm_up:], seconds, how, start, sum(losses) / len(losses))


def figure(batches: list[TextBatch], seconds: float, how: str, start: float, loss: float) -> Figure:
    """Tokens a second, and the mean loss beside that of the first batch without dropout."""
    facts = {"first loss": start, "loss": loss, "seconds": seconds, "note": f"mean loss {loss:.2f}"}
    return Figure(sum(batch.inputs.numel() for batch in batches) / seconds, how, facts)


# ------------------------------------------------------------------ what they are given


def made_up(task: str, rows: int, length: int, count: int) -> list[TextBatch]:
    """Batches of drawn tokens, each after the other with some rule in it: time does not hang on which they are."""
    generator = np.random.default_rng(0)
    vocab = LETTERS if task == "language" else PIECES
    found = []
    for _ in range(count):
        ids = generator.integers(5, vocab, (rows, length + 1))
        ids[:, 1::2] = np.maximum(ids[:, : length + 1 : 2][:, : ids[:, 1::2].shape[1]] // 2, 5)
        if task == "language":
            inputs, labels = ids[:, :-1], ids[:, 1:]
        else:
            inputs, asked = Masking(MASK, vocab).apply(ids[:, :-1], np.ones((rows, length), bool), generator)
            labels = np.where(asked, ids[:, :-1], IGNORED)
        found.append(
            TextBatch(*(torch.from_numpy(np.ascontiguousarray(part)) for part in (inputs, labels)), list(range(rows)))
        )
    return found


def write_batches(path: Path, batches: list[TextBatch]) -> None:
    """The same batches for everybody."""
    save_file({f"{i}.{name}": getattr(b, name) for i, b in enumerate(batches) for name in ("inputs", "labels")}, path)


def read_batches(path: Path) -> list[TextBatch]:
    """What `write_batches` wrote."""
    found = load_file(path)
    count = len(found) // 2
    return [
        TextBatch(found[f"{i}.inputs"], found[f"{i}.labels"], list(range(len(found[f"{i}.inputs"]))))
        for i in range(count)
    ]


def new_model(task: str, size: str, length: int) -> tuple[ModelLayer, dict[str, int]]:
    """A model with fresh weights, and for the plain loop its shape."""
    torch.manual_seed(0)
    if task == "masked":
        return bert.declare(vocab=PIECES, **bert.SIZES[size], head="masked").build(), {}
    shape = {"width": 128, "heads": 4, "depth": 4} if size == "mini" else {"width": 384, "heads": 6, "depth": 6}
    spec = gpt2.declare(vocab=LETTERS, length=length, activation="gelu", **shape)
    return spec.build(), {"vocab": LETTERS, "length": length, **shape}


def sides(task: str, against: Sequence[str] = (HUGGING_FACE, TRAINER)) -> list[Side]:
    """All of them, in the order of their turns; of masks those of Hugging Face's that are named."""
    found = []
    for kind in ("float32", "bfloat16"):
        name = kind if kind == "float32" else f"{kind} autocast"
        found.append(Side(OURS, kind, "ours", kind, {}))
        if task == "language":
            found.append(Side(PLAIN, name, "peer", kind, {}))
        else:
            found += [
                Side(who, f"{attention}, {name}", "peer", kind, {"attention": attention})
                for who in against
                for attention in ("sdpa", "eager")
            ]
    return found


def prepare(asked: argparse.Namespace, folder: Path) -> None:
    """Make the batches and the model, give them to all sides, print what comes back."""
    there = peers.machine()
    rows, length = {"language": (12, 64), "masked": (32, 128)}[asked.task]
    rows, length = asked.rows or rows, asked.length or length
    warm_up, steps = (3, 10 if asked.task == "language" else 4) if asked.quick else (5, asked.steps)
    model, shape = new_model(asked.task, asked.size, length)
    write_batches(folder / "batches.safetensors", made_up(asked.task, rows, length, warm_up + steps))
    (folder / "settings.json").write_text(json.dumps({"warm_up": warm_up, "task": asked.task, "shape": shape}))
    save(folder / "model", model)
    settings = {
        "task": asked.task,
        "size": asked.size,
        "parameters": f"{sum(p.numel() for p in model.parameters()):,}",
        "rows": f"{rows} of {length} tokens",
        "steps": steps,
    }
    found = peers.measure(
        Path(__file__), peers.chosen(sides(asked.task, AGAINST[asked.against]), asked), folder, asked.rounds
    )
    check(found)
    if asked.json:
        peers.show_json("train_language", UNIT, found, settings, there)
    else:
        peers.show("train_language", "Training a model of running text", UNIT, found, settings, there)


UNIT = "tokens/s"


def main() -> None:
    parser = peers.arguments("How fast models of running text train, beside plain loops.")
    parser.set_defaults(size="mini")
    parser.add_argument("--task", choices=sorted(LOSS), default="language", help="next letters, or masked word pieces")
    parser.add_argument("--steps", type=int, default=40, help="measured steps of a turn")
    parser.add_argument("--rows", type=int, default=0, help="rows of a batch; 0: 12 of letters, 32 of word pieces")
    parser.add_argument("--against", choices=sorted(AGAINST), default="both", help="of masks: their loop or Trainer")
    parser.add_argument("--length", type=int, default=0, help="tokens of a row; 0: 64 letters, 128 word pieces")
    peers.main(parser, prepare, work)


if __name__ == "__main__":
    main()
