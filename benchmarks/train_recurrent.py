"""How fast a recurrent translation model trains, beside the same model written plainly over torch's own modules.

Two models: sequence to sequence by LSTM, and RNNsearch. The plain one has torch's `nn.LSTM` and `nn.GRU` over packed
rows, as tutorials have it: a loop over the target that embeds, steps and scores one token after another, or, where no
step waits for an attention, the whole target at once. Every side has the same weights to begin with, the same batches,
dropout, and Adam; a step is forward, loss, backward and optimiser.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any, cast

import peers
import torch
from peers import OURS, Figure, Side
from texts import texts
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from train_translation import SMOOTHING, check, our_step, plain_step, read_batches, timed, write_batches

from transept.data.batches import PairBatch
from transept.families.registry import all_families
from transept.heap import keep_freed_memory
from transept.hub.directory import read, save
from transept.models import Seq2SeqLayer
from transept.tasks.measure import judging, pair_loss

UNIT, PLAIN = "target tokens/s", "torch, written plainly"
NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


# ------------------------------------------------------------------ the plain models


def copied(module: nn.RNNBase, cells: nn.ModuleList) -> nn.RNNBase:
    """torch's module with our weights; ours lie layer by layer, the direction backward beside the one forward."""
    ends = [f"l{i}{end}" for i in range(module.num_layers) for end in (("", "_reverse")[: 1 + module.bidirectional])]
    for cell, end in zip(cells, ends, strict=True):
        for name, weight in zip(NAMES, cast(Any, cell).weights(), strict=True):
            getattr(module, f"{name}_{end}").data.copy_(weight)
    return module


class Plain(nn.Module):
    """What both have: two tables, a dropout, a matrix that scores."""

    def __init__(self, ours: Seq2SeqLayer) -> None:
        super().__init__()
        spec = cast(Any, ours.spec)
        self.source, self.target = (nn.Embedding.from_pretrained(t.table.weight.detach().clone(), freeze=False)
                                    for t in (cast(Any, ours.source), cast(Any, ours.embed)))  # fmt: skip
        self.drop = nn.Dropout(spec.embed.dropout)
        self.score = nn.Linear(spec.decoder.leaves(spec.width), spec.head.size)
        self.score.weight.data.copy_(cast(Any, ours.head).score.weight)
        self.score.bias.data.copy_(cast(Any, ours.head).bias)

    def loss(self, batch: PairBatch, dtype: torch.dtype = torch.float32) -> Tensor:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            logits = self(batch)
        return F.cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), label_smoothing=SMOOTHING.amount)


class PlainLstm(Plain):
    """`nn.LSTM` over the reversed source, and another over the target, a token at a time or all at once."""

    def __init__(self, ours: Seq2SeqLayer, loop: bool) -> None:
        super().__init__(ours)
        spec, self.loop = cast(Any, ours.spec), loop
        told = {"num_layers": spec.encoder.depth, "batch_first": True, "dropout": spec.encoder.dropout}
        sizes = (spec.width, spec.encoder.cell.hidden)
        self.encoder = copied(nn.LSTM(*sizes, **told), cast(Any, ours.encoder).cells)
        self.decoder = copied(nn.LSTM(*sizes, **told), cast(Any, ours.decoder).cells)

    def forward(self, batch: PairBatch) -> Tensor:
        lengths = batch.source_valid.sum(1)
        at = (lengths[:, None] - 1 - torch.arange(batch.source.size(1))).clamp(min=0)
        reversed_ = self.drop(self.source(batch.source.gather(1, at)))
        packed = pack_padded_sequence(reversed_, lengths, batch_first=True, enforce_sorted=False)
        _, state = self.encoder(packed)
        x = self.drop(self.target(batch.target))
        if not self.loop:
            return self.score(self.drop(self.decoder(x, state)[0]))
        out = []
        for t in range(x.size(1)):
            y, state = self.decoder(x[:, t : t + 1], state)
            out.append(self.score(self.drop(y)))
        return torch.cat(out, 1)


class PlainSearch(Plain):
    """RNNsearch: `nn.GRU` both ways over the source, one `nn.GRU` step and one look at a time over the target."""

    def __init__(self, ours: Seq2SeqLayer) -> None:
        super().__init__(ours)
        spec, theirs = cast(Any, ours.spec), cast(Any, ours.decoder)
        hidden = spec.decoder.cell.hidden
        self.encoder = copied(
            nn.GRU(spec.width, hidden, batch_first=True, bidirectional=True), cast(Any, ours.encoder).cells
        )
        self.decoder = copied(nn.GRU(spec.width + 2 * hidden, hidden, batch_first=True), nn.ModuleList([theirs.cell]))
        self.start, self.q, self.k = theirs.start.bridge["h"][0], theirs.attend.q, theirs.attend.k
        self.v, self.readout = theirs.attend.core.v, theirs.readout.linear

    def forward(self, batch: PairBatch) -> Tensor:
        x = self.drop(self.source(batch.source))
        packed = pack_padded_sequence(x, batch.source_valid.sum(1), batch_first=True, enforce_sorted=False)
        read, last = self.encoder(packed)
        memory, _ = pad_packed_sequence(read, batch_first=True, total_length=x.size(1))
        keys, state, out = self.k(memory), self.start(last[1]).tanh(), []
        target = self.drop(self.target(batch.target))
        for t in range(target.size(1)):
            energy = self.v(torch.tanh(self.q(state)[:, None] + keys)).squeeze(2)
            weights = energy.masked_fill(~batch.source_valid, float("-inf")).softmax(1)
            context = (weights[:, None] @ memory).squeeze(1)
            pairs = self.readout(torch.cat([state, target[:, t], context], 1))
            out.append(self.score(self.drop(pairs.unflatten(1, (-1, 2)).amax(2))))
            step = torch.cat([target[:, t], context], 1)[:, None]
            state = self.decoder(step, state[None].contiguous())[1][0]
        return torch.stack(out, 1)


# ------------------------------------------------------------------ the sides


def work(side: Side, folder: Path) -> list[Figure]:
    """The figures of one side, in this process."""
    batches, settings = read_batches(folder / "batches.safetensors"), json.loads((folder / "settings.json").read_text())
    dtype: torch.dtype = getattr(torch, side.format)
    if side.options["keep"]:
        keep_freed_memory()
    torch.manual_seed(0)
    ours = cast(Seq2SeqLayer, read(folder / "model").model)
    if side.who == OURS:
        with judging(ours):
            at_first = pair_loss(ours, batches[0], SMOOTHING)
        start = float(at_first.total) / at_first.count
        return [timed(our_step(ours, dtype), batches, settings["warm_up"], "", start)]
    search = settings["family"] == "bahdanau"
    plain = PlainSearch(ours) if search else PlainLstm(ours, side.options["loop"])
    with judging(plain):
        start = float(plain.loss(batches[0]))
    return [timed(plain_step(plain, partial(plain.loss, dtype=dtype), True), batches, settings["warm_up"], "", start)]


def runs_lstm_in_bfloat16() -> bool:
    """Whether torch's own LSTM does: on a processor without products in bfloat16 it has no kernel for that."""
    try:
        with torch.autocast("cpu", torch.bfloat16):
            nn.LSTM(16, 16, batch_first=True)(torch.zeros(1, 1, 16))
    except RuntimeError:
        return False
    return True


def sides(family: str) -> list[Side]:
    """All of them, in the order of their turns."""
    found = []
    for kind in ("float32", "bfloat16"):
        found.append(Side(OURS, kind, "ours", kind, {"keep": True}))
        if (family, kind) == ("lstm", "bfloat16") and not runs_lstm_in_bfloat16():
            peers.say("torch's LSTM cannot be run in bfloat16 on this processor, and is left out in it")
            continue
        name = kind if kind == "float32" else f"{kind} autocast"
        for how, loop in (("a token at a time", True), ("the target at once", False)):
            if loop or family == "lstm":
                told: dict[str, Any] = {"loop": loop}
                found.append(Side(PLAIN, f"{how}, {name}", "peer", kind, told | {"keep": False}))
                found.append(Side(PLAIN, f"{how}, {name}, our malloc setting", "extra", kind, told | {"keep": True}))
    return found


def prepare(asked: argparse.Namespace, folder: Path) -> None:
    """Make the batches and the model, give them to all sides, print what comes back."""
    there = peers.machine()
    given = texts(asked.data)
    warm_up, steps = (2, 5) if asked.quick else (3, asked.steps)
    write_batches(folder / "batches.safetensors", given.batches(asked.batch_tokens, warm_up + steps))
    (folder / "settings.json").write_text(json.dumps({"warm_up": warm_up, "family": asked.family}))
    family = all_families()[asked.family]
    torch.manual_seed(0)
    model = family.declare(vocab=given.vocab, **family.SIZES["reduced"]).build()
    save(folder / "model", model)
    settings = {
        "family": asked.family,
        "parameters": f"{sum(p.numel() for p in model.parameters()):,}",
        "text": given.name,
        "steps": steps,
    }
    rows = peers.measure(Path(__file__), peers.chosen(sides(asked.family), asked), folder, asked.rounds)
    check(rows)
    if asked.json:
        peers.show_json("train_recurrent", UNIT, rows, settings, there)
    else:
        peers.show("train_recurrent", "Training a recurrent translation model", UNIT, rows, settings, there)


def main() -> None:
    parser = peers.arguments("How fast a recurrent translation model trains, beside one written plainly over torch.")
    parser.add_argument("--family", choices=("lstm", "bahdanau"), default="lstm", help="which of the two models")
    parser.add_argument("--steps", type=int, default=20, help="measured steps of a turn")
    parser.add_argument("--batch-tokens", type=int, default=2048, help="a batch's longer side, padding counted")
    peers.main(parser, prepare, work)


if __name__ == "__main__":
    main()
