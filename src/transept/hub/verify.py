"""The same inputs through this library and through Hugging Face's: what a promise of equality rests on."""

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from transept.decode.config import Search
from transept.decode.search import search as decode
from transept.errors import TranseptError
from transept.hub.directory import locate, read, saying, unsayable
from transept.hub.files import read_json
from transept.hub.generation import STOPS, Generation
from transept.models import Seq2SeqLayer

LIMIT = 1e-4  # float32, of the largest value compared; different mathematics differ by 1e-3 and more
ROWS, LENGTH, ANSWER = 8, 24, 32


@dataclass(frozen=True)
class Check:
    """One comparison: how far the two are apart, and how far they may be."""

    name: str
    difference: float
    limit: float = 0.0

    @property
    def good(self) -> bool:
        return self.difference <= self.limit


@dataclass(frozen=True)
class Report:
    """All comparisons of one model; `str(report)` is a table."""

    directory: Path
    checks: Sequence[Check] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return all(check.good for check in self.checks)

    @property
    def largest(self) -> float:
        """The largest difference of a number that both compute."""
        return max(check.difference for check in self.checks if check.limit)

    def __str__(self) -> str:
        rows = [
            f"{check.name:44} {check.difference:>9.2g}   {'ok' if check.good else f'more than {check.limit:.1e}'}"
            for check in self.checks
        ]
        verdict = "equal to Hugging Face" if self.good else "DIFFERENT from Hugging Face"
        return "\n".join([f"{self.directory}: {verdict}", *rows])

    def demand(self) -> "Report":
        """The report, or a TranseptError that holds it where the two differ."""
        if not self.good:
            raise TranseptError(str(self), remedy="Do not use the result: please report this with the configuration.")
        return self


def verify(directory: str | Path, against: str | Path | None = None, *, seed: int = 0) -> Report:
    """Compare a model directory, read here, with Hugging Face's reading of it (or of `against`, what it was made from).

    Random tokens, padded, through both in float32: encoder states, logits, loss, and the tokens that greedy and beam
    search choose. Needs transformers; raises TranseptError with the command that installs it, UsageError where Hugging
    Face has no class for the model.
    """
    root = locate(directory)
    stored = read(root)
    model = stored.model.float()
    if not isinstance(model, Seq2SeqLayer) or saying(model.spec) is None:
        raise unsayable(model.spec, root)
    theirs, misplaced = _theirs(Path(against) if against else root, _architecture(root))
    draws = torch.Generator().manual_seed(seed)
    checks = [Check("tensors that Hugging Face could not place", misplaced)]
    with torch.no_grad():
        checks += _numbers(model, theirs, stored.generation, draws)
        checks += _searches(model, theirs, stored.generation, draws)
    return Report(root, checks)


def _architecture(root: Path) -> str:
    (name,) = read_json(root / "config.json")["architectures"]
    return str(name)


def _theirs(root: Path, architecture: str) -> tuple[Any, int]:
    """Hugging Face's model, and how many tensors were missing, left over or of another shape when it was loaded."""
    try:
        transformers = importlib.import_module("transformers")
    except ImportError:
        raise TranseptError(
            "comparing with Hugging Face needs transformers, which is not installed",
            remedy="Install it: pip install 'transept[hf]'",
        ) from None
    kind = getattr(transformers, architecture)
    bars = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    try:
        model, info = kind.from_pretrained(
            root, attn_implementation="eager", dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
    finally:
        if bars:
            transformers.utils.logging.enable_progress_bar()
    return model.eval(), sum(len(info[key]) for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))


def _inputs(generation: Generation, vocab: int, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random tokens (B, S) that end with the end token, padded on the right, and which are real."""
    longest = min(LENGTH, generation.longest)
    lengths = torch.randint(1, longest + 1, (ROWS,), generator=draws)
    lengths[0] = longest
    special = {generation.special.bos, generation.special.eos, generation.pad, *generation.special.suppress}
    common = torch.tensor([token for token in range(vocab) if token not in special] or [generation.special.eos])
    ids = common[torch.randint(len(common), (ROWS, longest), generator=draws)]
    columns = torch.arange(longest)
    ids = ids.masked_fill(columns >= lengths[:, None], generation.pad)
    ids[torch.arange(ROWS), lengths - 1] = generation.special.eos
    return ids, columns < lengths[:, None]


def _numbers(model: Seq2SeqLayer, theirs: Any, generation: Generation, draws: torch.Generator) -> Iterator[Check]:
    source, real = _inputs(generation, (model.spec.source or model.spec.embed).vocab, draws)
    labels, supervised = _inputs(generation, model.spec.embed.vocab, draws)
    target = torch.cat([torch.full_like(labels[:, :1], generation.special.bos), labels[:, :-1]], 1)
    out = model(source, target, real, supervised)
    other = theirs(
        input_ids=source,
        attention_mask=real.long(),
        decoder_input_ids=target,
        decoder_attention_mask=supervised.long(),
        output_hidden_states=True,
    )
    assert out.memory is not None
    yield _apart("encoder states", out.memory.states[real], other.encoder_last_hidden_state[real])
    yield _apart("decoder states", out.hidden[supervised], other.decoder_hidden_states[-1][supervised])
    yield _apart("logits", out.logits[supervised], other.logits[supervised])
    losses = [
        torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels.masked_fill(~supervised, -100))
        for logits in (out.logits, other.logits)
    ]
    yield _apart("loss", *losses)


def _apart(name: str, ours: Tensor, theirs: Tensor) -> Check:
    far = float((ours - theirs).abs().max())
    return Check(f"{name}: largest difference", far, LIMIT * max(1.0, float(theirs.abs().max())))


def _searches(model: Seq2SeqLayer, theirs: Any, generation: Generation, draws: torch.Generator) -> Iterator[Check]:
    source, real = _inputs(generation, (model.spec.source or model.spec.embed).vocab, draws)
    rows = [row[valid].tolist() for row, valid in zip(source, real, strict=True)]
    most = min(ANSWER, generation.longest - 1)
    limits: dict[str, Any] = {"max_ratio": 0.0, "max_extra": most}
    asked = generation.search if generation.search.method == "beam" else Search()
    beams = Search(beam=asked.beam, stop=asked.stop, length_penalty=asked.length_penalty, **limits)
    theirs.generation_config.forced_eos_token_id = None  # an end that is forced is no end that was found
    for name, settings in (("greedy", Search(method="greedy", **limits)), (f"beam of {beams.beam}", beams)):
        ours = [best[0].tokens for best in decode(model, rows, settings, generation.special)]
        chosen = theirs.generate(
            input_ids=source,
            attention_mask=real.long(),
            max_new_tokens=most,
            max_length=None,
            do_sample=False,
            num_return_sequences=1,
            num_beams=settings.beam if settings.method == "beam" else 1,
            **(
                {"length_penalty": settings.length_penalty, "early_stopping": STOPS[settings.stop]}
                if settings is beams
                else {}
            ),
        )
        different = sum(mine != ended(row.tolist()[1:], generation) for mine, row in zip(ours, chosen, strict=True))
        yield Check(f"{name}: sentences with other tokens, of {ROWS}", different)


def ended(row: list[int], generation: Generation) -> list[int]:
    """Their answer without the padding behind it: up to its first end."""
    end = generation.special.eos
    if end in row:
        return row[: row.index(end) + 1]
    while row and row[-1] == generation.pad:
        row = row[:-1]
    return row
