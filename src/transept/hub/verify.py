"""The same inputs through this library and through Hugging Face's: what a promise of equality rests on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from transept.decode.config import Search
from transept.decode.search import extend
from transept.decode.search import search as decode
from transept.errors import TranseptError
from transept.hub.described import CONFIG, saying, unsayable
from transept.hub.directory import Stored, locate, read
from transept.hub.files import read_json
from transept.hub.generation import RULES, STOPS, Generation
from transept.hub.theirs import ROWS, Draws, is_decoder, load_theirs, of_ours, of_theirs, on_real, quiet

LIMIT = 1e-4  # float32, of the largest value compared; different mathematics differ by 1e-3 and more
ANSWER = 32  # tokens of an answer that are compared


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
    """All comparisons of one model; `str(report)` is a table. `notes` tell what the two do not have in common."""

    directory: Path
    checks: Sequence[Check] = field(default_factory=list)
    notes: Sequence[str] = ()

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
        rows += [f"not compared: {note}" for note in self.notes]
        verdict = "equal to Hugging Face" if self.good else "DIFFERENT from Hugging Face"
        return "\n".join([f"{self.directory}: {verdict}", *rows])

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for machines: the same keys where nothing was compared."""
        checks = [{"name": c.name, "difference": c.difference, "limit": c.limit, "good": c.good} for c in self.checks]
        told = {"directory": str(self.directory), "verified": bool(self.checks), "good": self.good if checks else None}
        largest = self.largest if checks else None
        return told | {"largest": largest, "checks": checks, "notes": list(self.notes)}

    def demand(self) -> "Report":
        """The report, or a TranseptError that holds it where the two differ."""
        if not self.good:
            raise TranseptError(str(self), remedy="Do not use the result: please report this with the configuration.")
        return self


def verify(directory: str | Path, against: str | Path | None = None, *, seed: int = 0) -> Report:
    """Compare a model directory, read here, with Hugging Face's reading of it (or of `against`, what it was made from).

    Random inputs of the kind that the model takes, padded where there are tokens, through both in float32: states of
    the stacks, what each head gives, and for a model that writes text the tokens that greedy and beam search choose.
    Needs transformers; raises TranseptError with the command that installs it, UsageError where Hugging Face has no
    class for the model.
    """
    root = locate(directory)
    stored = read(root)
    config = read_json(root / CONFIG)
    if saying(stored.model.spec, str(config.get("model_type"))) is None:
        raise unsayable(stored.model.spec, root)
    stored.model.float()
    with quiet(), torch.no_grad():
        theirs, misplaced = load_theirs(Path(against) if against else root, str(config["architectures"][0]))
        draws = Draws(stored, theirs, seed)
        checks = [Check("tensors that Hugging Face could not place", misplaced)]
        checks += _numbers(stored, theirs, draws)
        if stored.generation is not None:
            checks += _searches(stored, theirs, stored.generation, draws)
    return Report(root, checks, _notes(stored.generation) if stored.generation else ())


def _notes(generation: Generation) -> list[str]:
    """What of a search is not compared."""
    padded = "the least length of a prompt with its answer, in which theirs counts padding"
    return [*generation.unsaid(), *([padded] if generation.alone and generation.search.min_whole else [])]


def _numbers(stored: Stored, theirs: Any, draws: Draws) -> Iterator[Check]:
    given = draws.given()
    ours, others = of_ours(stored.model, given), of_theirs(theirs, given)
    for name in ("encoder states", "states", "output", "second output"):
        if name in ours and name in others:
            yield _apart(name, on_real(name, ours[name], given), on_real(name, others[name], given))


def _apart(name: str, ours: Tensor, theirs: Tensor) -> Check:
    if ours.shape != theirs.shape:
        return Check(f"{name}: {tuple(ours.shape)} here, {tuple(theirs.shape)} there", float("inf"), LIMIT)
    far = float((ours - theirs).abs().max())
    return Check(f"{name}: largest difference", far, LIMIT * max(1.0, float(theirs.abs().max())))


def _searches(stored: Stored, theirs: Any, generation: Generation, draws: Draws) -> Iterator[Check]:
    """The tokens of a greedy search, and of a beam search by the settings that both have.

    Where the model's own search has Wu's penalty, which they do not know, theirs divides by the length, and so does
    ours here; what they cannot be asked for is in the notes.
    """
    spec: Any = stored.model.spec
    alone = is_decoder(stored)
    room = draws.longest // 2 if alone else draws.longest
    table = getattr(spec, "source", None) or spec.embed
    source, real = draws.tokens(table.vocab, longest=max(1, room), close=not alone)
    rows = [row[valid].tolist() for row, valid in zip(source, real, strict=True)]
    most = min(ANSWER, max(1, generation.longest - (source.size(1) if alone else 1)))
    limits: dict[str, Any] = {"max_ratio": 0.0, "max_extra": most}
    limits |= {name: getattr(generation.search, name) for name in RULES}
    asked = generation.search if generation.search.method == "beam" else Search()
    penalty = asked.length_penalty if asked.penalty == "average" else 1.0
    beams = Search(beam=asked.beam, stop=asked.stop, length_penalty=penalty, **limits)
    if alone:
        source, real = _to_the_right(source, real, draws.pad)
    for name, settings in (("greedy", Search(method="greedy", **limits)), (f"beam of {beams.beam}", beams)):
        if alone:
            ours = [best[0].tokens for best in extend(stored.model, rows, settings, generation.special)]  # type: ignore[arg-type]
        else:
            ours = [best[0].tokens for best in decode(stored.model, rows, settings, generation.special)]  # type: ignore[arg-type]
        beamed = {"length_penalty": settings.length_penalty, "early_stopping": STOPS[settings.stop]}
        chosen = theirs.generate(
            input_ids=source,
            attention_mask=real.long(),
            max_new_tokens=most,
            **_asked(theirs, generation, draws.pad),
            **_rules(limits, alone),
            num_beams=settings.beam if settings is beams else 1,
            **(beamed if settings is beams else {}),
        )
        begun = source.size(1) if alone else 1
        answers = [ended(row.tolist()[begun:], generation.special.ends) for row in chosen]
        different = sum(mine != other for mine, other in zip(ours, answers, strict=True))
        yield Check(f"{name}: sentences with other tokens, of {ROWS}", different)


def _rules(limits: dict[str, Any], alone: bool) -> dict[str, Any]:
    """What forbids tokens, in their words; their least length counts the prompt of a decoder alone."""
    told = {there: limits[name] for name, (there, _) in RULES.items()} | {"min_new_tokens": None}
    return told | ({"min_length": 0, "min_new_tokens": max(limits["min_length"] - 1, 0)} if alone else {})


def _asked(theirs: Any, generation: Generation, pad: int) -> dict[str, Any]:
    """What their search must be told, so that it goes by our reading of the files and by nothing else."""
    special = generation.special
    theirs.generation_config.bad_words_ids = None  # they are among those that are suppressed
    told = (
        {"decoder_start_token_id": special.bos} if theirs.config.is_encoder_decoder else {"bos_token_id": special.bos}
    )
    return told | {
        "max_length": None,
        "do_sample": False,
        "use_cache": False,  # theirs has too few places where the two stacks are of other depths
        "num_return_sequences": 1,
        "pad_token_id": pad,
        "eos_token_id": list(special.ends) or None,
        "forced_bos_token_id": special.first,
        "forced_eos_token_id": special.last,
        "suppress_tokens": list(special.suppress) or None,
    }


def _to_the_right(ids: Tensor, real: Tensor, pad: int) -> tuple[Tensor, Tensor]:
    """Rows padded on the left, as their search for one stack wants them."""
    moved = [
        torch.cat([row.new_full((int((~valid).sum()),), pad), row[valid]]) for row, valid in zip(ids, real, strict=True)
    ]
    return torch.stack(moved), real.flip(1)


def ended(row: list[int], ends: tuple[int, ...]) -> list[int]:
    """Their answer without the padding behind it: up to its first end. One without an end has the whole length."""
    return next((row[: i + 1] for i, token in enumerate(row) if token in ends), row)
