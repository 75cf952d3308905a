"""A task that trains in milliseconds: say a symbol again, through dropout and a tied table."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from transept.parts.loss import Loss
from transept.train.config import TrainConfig

VOCAB, WIDTH = 11, 8
LENGTHS = (3, 5, 2, 7, 4, 6, 1, 5, 3, 8)  # supervised tokens of the batches, before they are shuffled


@dataclass(frozen=True)
class ToyBatch:
    rows: list[int]
    inputs: Tensor

    @property
    def tokens(self) -> int:
        return self.inputs.numel()

    def to(self, device: torch.device) -> "ToyBatch":
        return ToyBatch(self.rows, self.inputs.to(device))


class ToyBatches:
    def __init__(self, seed: int, epoch: int) -> None:
        random = torch.Generator().manual_seed(1000 * seed + epoch)
        self.order: list[int] = torch.randperm(len(LENGTHS), generator=random).tolist()

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> ToyBatch:
        row = self.order[index]
        random = torch.Generator().manual_seed(row)
        return ToyBatch([row], torch.randint(0, VOCAB, (LENGTHS[row],), generator=random))

    def largest(self) -> int:
        return max(range(len(self)), key=lambda index: LENGTHS[self.order[index]])


class ToyModel(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCAB, WIDTH)
        self.mix = nn.Linear(WIDTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, VOCAB, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.dropout = dropout

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            self.seen += inputs.numel()
        x = F.dropout(self.embed(inputs), self.dropout, self.training)
        return self.head(self.norm(x + self.mix(x)))


class ToyTask:
    """`scores`: what the validations say, one after the other, instead of the truth."""

    name, score, higher = "toy", "accuracy", True

    def __init__(self, seed: int = 1, dropout: float = 0.2, scores: Sequence[float] | None = None) -> None:
        self.seed, self.dropout, self.scores = seed, dropout, scores
        self.met: list[tuple[int, int]] = []
        self.poison: dict[int, float] = {}  # times a batch is met -> a factor of its loss
        self.data = "first"
        self.validations = 0

    @property
    def fingerprint(self) -> str:
        return f"{self.data} {self.seed}"

    def facts(self) -> Mapping[str, str]:
        return {"title": "toy", "data": "train 10 batches"}

    def build(self) -> ToyModel:
        return ToyModel(self.dropout)

    def batches(self, split: str, epoch: int) -> ToyBatches:
        return ToyBatches(self.seed, epoch)

    def loss(self, model: nn.Module, batch: ToyBatch) -> Loss:
        self.met.append((len(self.met), batch.rows[0]))
        logits = model(batch.inputs).float()
        total = F.cross_entropy(logits, batch.inputs, reduction="sum", label_smoothing=0.1)
        nll = F.cross_entropy(logits.detach(), batch.inputs, reduction="sum")
        return Loss(total * self.poison.get(len(self.met), 1.0), nll, batch.tokens)

    def evaluate(self, model: nn.Module, split: str = "valid") -> dict[str, float]:
        assert not model.training
        assert not torch.is_grad_enabled()
        inputs = torch.arange(VOCAB)
        logits = model(inputs).float()
        torch.rand(3)  # a validation may draw numbers: training must not feel it
        accuracy = (logits.argmax(-1) == inputs).double().mean().item()
        if self.scores is not None:
            accuracy = self.scores[min(self.validations, len(self.scores) - 1)]
        self.validations += 1
        return {"loss": F.cross_entropy(logits, inputs).item(), "accuracy": accuracy}

    def samples(self, model: nn.Module) -> list[dict[str, str]]:
        return [{"source": "3", "hypothesis": str(model(torch.tensor([3])).argmax(-1).item())}]

    def save_model(self, model: nn.Module, directory: Path, record: Mapping[str, Any] | None) -> None:
        save_file({name: p.detach().clone() for name, p in model.named_parameters()}, directory / "model.safetensors")
        (directory / "record.json").write_text(json.dumps(record), encoding="utf-8")


def config(**changes: Any) -> TrainConfig:
    """Settings for the toy; `changes` are TrainConfig's own keys."""
    base = {
        "stop": "30u",
        "seed": 3,
        "batch_tokens": 8,
        "accumulate": 3,
        "schedule": {"name": "inverse_sqrt", "rate": 0.05, "warmup": 5},
        "validate_every": "5u",
        "threads": 1,
        "device": "cpu",
    }
    return TrainConfig.model_validate_json(json.dumps(base | changes))
