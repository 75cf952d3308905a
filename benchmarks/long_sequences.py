"""What attention costs in time and memory as rows grow: windows, blocks, BigBird and Linformer beside full attention.

One attention of width 512 with 8 heads reads one row of 1,024 ... 65,536 tokens, forward and backward. Each way at each
length has a process of its own, so that its peak of memory is its own: what the process holds at the most while it
computes, less what it held before. Slopes are of log cost over log length, from `STEADY` tokens on: 1 is a cost in
proportion to the length, 2 in proportion to its square. Peers take part where they are installed: `local-attention`
(the author of x-transformers, which has no local attention itself) and Hugging Face's Longformer and BigBird.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import peers
from peers import HUGGING_FACE, OURS, Figure, Side
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from torch import Tensor

WIDTH, HEADS, REACH, BLOCK, RANDOM, RANK = 512, 8, 256, 64, 3, 256
LENGTHS = [1 << n for n in range(10, 17)]
STEADY = 4096  # tokens from which slopes are taken: below it, what each call costs counts
LIMIT = 16_384  # tokens of the longest row that ways with a square in them are given
LEAST, ENOUGH, PLENTY = 2, 1.0, 4.0  # repetitions, seconds of them that are wanted, and that need no second
MODEL = 16_384  # tokens of the row that a whole model of `DEPTH` layers makes a training step on
DEPTH = 6

Mixing = "Callable[[Tensor, Tensor, Tensor], Tensor]"


@dataclass(frozen=True)
class Way:
    """One way to attend: a pattern and a core of ours, or a peer. `beside` is the way of ours that does the same."""

    who: str
    how: str
    pattern: str = ""
    core: str = "Auto"
    square: bool = False
    beside: str = ""
    needs: str = ""


BIGBIRD = f"local({BLOCK}, 1, 1) | global_blocks({BLOCK}) | global_blocks({BLOCK}, {{last}})"
WAYS = {
    "full": Way("torch SDPA", "full", "full", "Fused", square=True),
    "causal": Way("torch SDPA", "causal", "causal", "Fused", square=True),
    "window": Way(OURS, f"window({REACH})", f"window({REACH})"),
    "causal-window": Way(OURS, f"causal & window({REACH})", f"causal & window({REACH})"),
    "local": Way(OURS, f"local({REACH})", f"local({REACH})"),
    "bigbird": Way(OURS, f"BigBird, blocks of {BLOCK}", BIGBIRD + f" | random_blocks({BLOCK}, {RANDOM}, {{length}})"),
    "linformer": Way(OURS, f"Linformer, rank {RANK}", "full", "LowRank"),
    "their-window": Way("local-attention", f"window({REACH})", beside="window", needs="local_attention"),
    "their-causal-window": Way(
        "local-attention", f"causal & window({REACH})", beside="causal-window", needs="local_attention"
    ),
    "their-longformer": Way(HUGGING_FACE, f"Longformer, window({REACH})", beside="window", needs="transformers"),
    "their-bigbird": Way(HUGGING_FACE, f"BigBird, blocks of {BLOCK}", beside="bigbird", needs="transformers"),
}
# What a whole model's layers attend by, and what they would by full attention.
STEPS = {
    "causal": ("causal", ""),
    f"causal & window({REACH})": (f"causal & window({REACH})", "causal"),
    "full": ("full", ""),
    f"window({REACH})": (f"window({REACH})", "full"),
    f"BigBird, blocks of {BLOCK}": (WAYS["bigbird"].pattern, "full"),
}


# ------------------------------------------------------------------ one way at one length, in its own process


def mixing(name: str, length: int) -> Any:
    """The function (q, k, v) -> mix of a way, (1, H, T, E) each, and the module that it belongs to."""
    import torch

    if name == "their-bigbird":
        return _bigbird(length)
    if name == "their-longformer":
        return _longformer()
    if name.startswith("their"):
        from local_attention.local_attention import LocalAttention

        causal = name == "their-causal-window"
        return LocalAttention(REACH, causal=causal, exact_windowsize=True, use_rotary_pos_emb=False)
    from transept.parts.attention import Attention
    from transept.parts.core import Allowed, Fused
    from transept.parts.lowrank import LowRank
    from transept.parts.pattern_text import parse_pattern
    from transept.parts.planner import Auto

    way = WAYS[name]
    pattern = parse_pattern(way.pattern.format(length=length, last=length // BLOCK - 1))
    core = {"Auto": Auto(), "Fused": Fused(), "LowRank": LowRank(length, RANK)}[way.core]
    attention = Attention(HEADS, pattern, core=core)
    layer = core.chosen(attention).build(HEADS, WIDTH // HEADS)
    for weight in layer.parameters():
        torch.nn.init.normal_(weight, std=RANK**-0.5)
    at = torch.arange(length)[None]
    scale = (WIDTH // HEADS) ** -0.5
    return lambda q, k, v: layer(q, k, v, Allowed(pattern, at, at), scale)


def _longformer() -> Any:
    """Hugging Face's sliding chunks, without what it does for padding and for tokens that see all."""
    from transformers import LongformerConfig
    from transformers.models.longformer.modeling_longformer import LongformerSelfAttention

    config = LongformerConfig(hidden_size=WIDTH, num_attention_heads=HEADS, attention_window=[2 * REACH])
    layer = LongformerSelfAttention(config, 0)

    def mix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (t.transpose(1, 2) for t in (q * q.size(-1) ** -0.5, k, v))  # (B, H, T, E) -> (B, T, H, E)
        scores = layer._sliding_chunks_query_key_matmul(q, k, REACH)
        made: Tensor = layer._sliding_chunks_matmul_attn_probs_value(scores.softmax(-1), v, REACH)
        return made.transpose(1, 2)

    return mix


def _bigbird(length: int) -> Any:
    import torch
    from transformers import BigBirdConfig
    from transformers.models.big_bird.modeling_big_bird import BigBirdBlockSparseAttention, BigBirdModel

    config = BigBirdConfig(
        hidden_size=WIDTH,
        num_attention_heads=HEADS,
        block_size=BLOCK,
        num_random_blocks=RANDOM,
        max_position_embeddings=length,
    )
    layer = BigBirdBlockSparseAttention(config, seed=0).eval()
    blocked, band, asking, asked = BigBirdModel.create_masks_for_block_sparse_attn(torch.ones(1, length), BLOCK)

    def mix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        sizes = (HEADS, RANDOM, WIDTH // HEADS, BLOCK, BLOCK, 1, length, length)
        masks = (band, asking, asked, blocked, blocked)
        made, _ = layer.bigbird_block_sparse_attention(
            q, k, v, *masks, *sizes, seed=0, plan_from_length=None, plan_num_rand_blocks=None
        )
        return made.transpose(1, 2)

    return mix


def work(side: Side, folder: Path) -> list[Figure]:
    """Milliseconds forward, and forward and backward, and the peak of memory in MB, of one way at one length."""
    import torch

    length = side.options["length"]
    if side.options.get("step"):
        return [step(side.options["step"], length, side.format)]
    torch.manual_seed(0)
    name = side.options["way"]
    shape = (1, length, HEADS, WIDTH // HEADS)
    q, k, v = (torch.randn(shape).transpose(1, 2) for _ in range(3))
    if name.startswith("their"):  # in the layout that they want
        q, k, v = (t.contiguous() for t in (q, k, v))
    q, k, v = (t.requires_grad_() for t in (q, k, v))
    mix = mixing(name, length)
    up = torch.randn(1, HEADS, length, WIDTH // HEADS)
    warm()
    before = held("VmRSS")
    forward: list[float] = []
    both: list[float] = []
    while sum(both) < ENOUGH or (len(both) < LEAST and sum(both) < PLENTY):
        at = peers.clock()
        made = mix(q, k, v)
        forward.append(peers.clock() - at)
        made.backward(up)
        both.append(peers.clock() - at)
        sample = made[0, :2, [0, length // 2, length - 1], :2].flatten().tolist()
        del made
        q.grad = k.grad = v.grad = None
    peak = held("VmHWM") - before
    facts = {"forward": 1000 * min(forward), "both": 1000 * min(both), "memory": peak, "sample": sample}
    return [Figure(length / min(both), facts=facts)]


def warm() -> None:
    """What torch does once in a process, done before anything is measured."""
    import torch

    x = torch.randn(1, 1, 200, 64, requires_grad=True)
    torch.nn.functional.scaled_dot_product_attention(x, x, x).sum().backward()
    (x @ x.mT).softmax(-1).sum().backward()


def held(which: str) -> float:
    """What this process holds, or held at the most, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(which):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"this system does not say {which}")


def step(name: str, length: int, format: str) -> Figure:
    """One training step of a whole model, by the optimiser of `transept train`: seconds, and MB at the peak."""
    import torch

    from transept.families.gpt2 import declare
    from transept.heap import keep_freed_memory
    from transept.parts.attention import Attention
    from transept.parts.pattern_text import parse_pattern
    from transept.parts.planner import Auto
    from transept.spec import edit, replace
    from transept.train.config import Optimizer
    from transept.train.flat import Flat
    from transept.train.optimizer import FlatAdam

    pattern = parse_pattern(STEPS[name][0].format(length=length, last=length // BLOCK - 1))

    def change(part: Any) -> Any:
        return replace(part, pattern=pattern, core=Auto()) if isinstance(part, Attention) else part

    keep_freed_memory()
    torch.manual_seed(0)
    model = edit(declare(vocab=1000, width=WIDTH, heads=HEADS, depth=DEPTH, length=length), change).build()
    flat = Flat(model, getattr(torch, format))
    optimizer = FlatAdam(flat, Optimizer(name="adamw"))
    ids = torch.randint(1000, (1, length))
    warm()
    before, at = held("VmRSS"), peers.clock()
    flat.clear()
    logits = model(ids).logits
    torch.nn.functional.cross_entropy(logits[0, :-1], ids[0, 1:], reduction="sum").backward()
    flat.collect()
    taken = optimizer.step(1e-3, length - 1)
    seconds = peers.clock() - at
    assert taken.taken, "the gradient is not finite"
    return Figure(length / seconds, facts={"seconds": seconds, "memory": held("VmHWM") - before})


# ------------------------------------------------------------------ what comes of it


@dataclass
class Course:
    """What one way costs at each length: medians over the rounds."""

    way: str
    forward: dict[int, float] = field(default_factory=dict)
    both: dict[int, float] = field(default_factory=dict)
    memory: dict[int, float] = field(default_factory=dict)
    sample: dict[int, list[float]] = field(default_factory=dict)

    def slope(self, what: str) -> float:
        """Of the logarithm of a cost over that of the length, by least squares, from `STEADY` tokens on."""
        points = {n: cost for n, cost in getattr(self, what).items() if n >= STEADY}
        return slope(points or getattr(self, what))


def slope(points: dict[int, float]) -> float:
    """The exponent of a power law through points; not a number with fewer than two."""
    x, y = [math.log(n) for n in points], [math.log(max(cost, 1e-9)) for cost in points.values()]
    if len(x) < 2:
        return math.nan
    middle, height = sum(x) / len(x), sum(y) / len(y)
    return sum((a - middle) * (b - height) for a, b in zip(x, y, strict=True)) / sum((a - middle) ** 2 for a in x)


def crossing(cheap: dict[int, float], full: dict[int, float]) -> float | None:
    """The length from which on one is the cheaper, between lengths by their logarithms; None where it never is."""
    shared = sorted(cheap.keys() & full.keys())
    gains = {n: math.log(full[n] / cheap[n]) for n in shared}
    if not shared or gains[shared[-1]] <= 0:
        return None
    for low, high in reversed(list(pairwise(shared))):
        if gains[low] <= 0:
            part = -gains[low] / (gains[high] - gains[low])
            return float(math.exp(math.log(low) + part * (math.log(high) - math.log(low))))
    return float(shared[0])


def there(names: Sequence[str]) -> list[str]:
    """The ways that can be measured here; says which cannot."""
    missing = [name for name in names if WAYS[name].needs and importlib.util.find_spec(WAYS[name].needs) is None]
    for name in missing:
        peers.say(f"{WAYS[name].who} is not installed and left out: pip install {WAYS[name].needs.replace('_', '-')}")
    return [name for name in names if name not in missing]


def measure(names: Sequence[str], lengths: Sequence[int], rounds: int, folder: Path, limit: int) -> list[Course]:
    """Every way at every length once a round, the rounds one after the other. A peer that fails is left out, aloud."""
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    out: set[str] = set()  # peers that could not: for want of memory, as a rule
    for turn in range(rounds):
        for length in lengths:
            for name in names:
                way = WAYS[name]
                if (way.square and length > limit) or name in out:
                    continue
                side = Side(way.who, f"{way.how}, {length}", "ours", "float32", {"way": name, "length": length})
                try:
                    (figure,) = peers.run(Path(__file__), side, folder)
                except SystemExit as error:
                    if not way.needs:
                        raise
                    peers.say(f"{error}\n{way.who}, {way.how}: left out from {length:,} tokens on")
                    out.add(name)
                    continue
                found.setdefault((name, length), []).append(figure.facts)
                told = f"{figure.facts['both']:,.1f} ms, {figure.facts['memory']:,.0f} MB"
                peers.say(f"round {turn + 1} of {rounds}: {way.who}, {way.how}, {length:,} tokens: {told}")
    courses = {name: Course(name) for name in names}
    for (name, length), facts in found.items():
        for what in ("forward", "both", "memory"):
            getattr(courses[name], what)[length] = median(fact[what] for fact in facts)
        courses[name].sample[length] = facts[0]["sample"]
    return list(courses.values())


def measure_steps(formats: Sequence[str], rounds: int, folder: Path) -> list[dict[str, Any]]:
    """A model's training step with each pattern in each format: the medians over the rounds, and each beside full."""
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    for turn in range(rounds):
        for format in formats:
            for name in STEPS:
                side = Side(OURS, f"a step, {name}", "ours", format, {"step": name, "length": MODEL})
                facts = peers.run(Path(__file__), side, folder)[0].facts
                found.setdefault((format, name), []).append(facts)
                peers.say(f"round {turn + 1} of {rounds}: a step, {name}, {format}: {told(facts)}")
    steps = []
    for (format, name), each in found.items():
        facts = {what: median(fact[what] for fact in each) for what in each[0]}
        beside = STEPS[name][1]
        if beside:
            ratios = [a["seconds"] / b["seconds"] for a, b in zip(found[format, beside], each, strict=True)]
            facts["times"] = median(ratios)
        steps.append({"step": name, "beside": beside, "format": format, "depth": DEPTH, "length": MODEL, **facts})
    return steps


def compare(courses: Sequence[Course]) -> None:
    """Refuse a peer that computes something else. BigBird's random blocks differ, and a test holds the rest of it."""
    ours = {course.way: course for course in courses}
    for course in courses:
        same = ours.get(WAYS[course.way].beside)
        if same is None or "bigbird" in course.way:
            continue
        for length, sample in course.sample.items():
            far = max(abs(a - b) for a, b in zip(sample, same.sample[length], strict=True))
            if far > 1e-4:
                raise SystemExit(f"{WAYS[course.way].who} is {far:.1e} away from {WAYS[same.way].how} at {length}")


def show(courses: Sequence[Course], steps: Sequence[dict[str, Any]], machine: dict[str, Any]) -> None:
    """A table of times, one of memory, and a sentence for each question."""
    console = Console(width=None if os.isatty(1) else 150, highlight=False)
    lengths = sorted({n for course in courses for n in course.both})
    for what, title in (
        ()
        if not courses
        else (
            ("both", "Forward and backward, ms"),
            ("forward", "Forward, ms"),
            ("memory", "Peak of memory, MB, above what the process held before"),
        )
    ):
        table = Table(title=title, title_justify="left")
        table.add_column("who")
        table.add_column("how")
        for length in lengths:
            table.add_column(f"{length:,}", justify="right")
        table.add_column("slope", justify="right", style="bold")
        for course in courses:
            way, costs = WAYS[course.way], getattr(course, what)
            row = [f"{costs[n]:,.0f}" if n in costs else "–" for n in lengths]
            table.add_row(way.who, way.how, *row, f"{course.slope(what):.2f}", style="cyan" if way.who == OURS else "")
        console.print(table)
    console.print(peers.described(machine))
    for sentence in sentences(courses):
        console.print(sentence)
    for one in steps:
        times = f", {one['times']:.2f} times as fast as {one['beside']}" if one["beside"] else ""
        what = f"a training step of {DEPTH} layers at {MODEL:,} tokens, {one['step']}, {one['format']}"
        console.print(f"{what}: {told(one)}{times}")


def told(facts: dict[str, float]) -> str:
    return f"{facts['seconds']:,.1f} s, {facts['memory']:,.0f} MB"


def sentences(courses: Sequence[Course]) -> list[str]:
    """From which length on a way is cheaper than full attention, and how it stands beside its peer."""
    by_name, found = {course.way: course for course in courses}, []
    for course in courses:
        way = WAYS[course.way]
        full = by_name.get("causal" if "causal" in way.how else "full")
        if way.who == OURS and full is not None:
            for what, words in (("both", "forward and backward"), ("forward", "forward")):
                point = crossing(getattr(course, what), getattr(full, what))
                place = "at no length measured" if point is None else f"from {point:,.0f} tokens on"
                found.append(f"{way.how}: faster than {WAYS[full.way].how} SDPA {words} {place}")
        ours = by_name.get(way.beside)
        if ours is not None:
            shared = sorted(course.both.keys() & ours.both.keys())
            fast = [course.both[n] / ours.both[n] for n in shared]
            small = [ours.memory[n] / course.memory[n] for n in shared]
            found.append(
                f"{WAYS[ours.way].how}: {min(fast):.2f} to {max(fast):.2f} times as fast as {way.who}, "
                f"with {min(small):.2f} to {max(small):.2f} times the memory"
            )
    return found


def draw(courses: Sequence[Course], file: Path) -> None:
    """Time and memory over length, both by their logarithms."""
    from matplotlib.figure import Figure as Picture

    picture = Picture(figsize=(9, 3.6), dpi=130, layout="constrained")
    titles = {"both": "forward and backward, ms", "memory": "peak of memory, MB"}
    for axes, (what, title) in zip(picture.subplots(1, 2), titles.items(), strict=True):
        for course in courses:
            way, costs = WAYS[course.way], getattr(course, what)
            ours = way.who == OURS
            axes.plot(costs.keys(), costs.values(), "-o" if ours else "--", ms=3, label=f"{way.who}, {way.how}")
        axes.set(xscale="log", yscale="log", title=title, xlabel="tokens")
        axes.set_xticks(LENGTHS, [f"{n // 1024}k" for n in LENGTHS])
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    picture.legend(handles, labels, loc="outside right", fontsize=7)
    picture.savefig(file, metadata={"Software": None})


def prepare(asked: argparse.Namespace, folder: Path) -> None:
    lengths = list(asked.lengths or (LENGTHS[:3] if asked.quick else LENGTHS))
    machine = peers.machine()
    steps: list[dict[str, Any]] = []
    names = [] if asked.step_only else there(asked.ways or list(WAYS))
    courses = measure(names, lengths, asked.rounds, folder, asked.limit)
    compare(courses)
    if not asked.quick and not asked.no_step:
        steps = measure_steps(asked.formats or ["float32", "bfloat16"], asked.rounds, folder)
    if asked.figure:
        draw(courses, asked.figure)
    if not asked.json:
        show(courses, steps, machine)
        return
    for course in courses:
        slopes = {what: course.slope(what) for what in ("both", "forward", "memory")}
        print(json.dumps(asdict(WAYS[course.way]) | asdict(course) | {"slopes": slopes, "machine": machine}))
    for one in steps:
        print(json.dumps(one | {"machine": machine}))


def main() -> None:
    parser = peers.arguments("What attention costs in time and memory as rows grow.")
    parser.set_defaults(rounds=1)
    parser.add_argument("--lengths", type=int, nargs="+", help="tokens of a row")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), help="these alone")
    parser.add_argument("--limit", type=int, default=LIMIT, help="the longest row that full attention is given")
    parser.add_argument("--step-only", action="store_true", help="the training step of a whole model, and no more")
    parser.add_argument("--no-step", action="store_true", help="leave out the training step of a whole model")
    parser.add_argument("--figure", type=Path, metavar="PNG", help="draw time and memory over length")
    peers.main(parser, prepare, work)


if __name__ == "__main__":
    main()
