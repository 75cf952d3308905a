"""Hugging Face's Trainer on batches that are made already: its own loop, with all that it does around a step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import peers
import torch

from transept.data.text_batches import TextBatch

# AdamW of torch, plain and fused, as the Trainer calls them.
OPTIMIZERS = {"AdamW": "adamw_torch", "fused AdamW": "adamw_torch_fused"}


def trained(
    model: Any, batches: Sequence[TextBatch], warm_up: int, optimizer: str, mixed: bool, folder: Path, **settings: Any
) -> tuple[float, float]:
    """(seconds of all steps behind the warm-up, mean loss of all steps), `mixed` by its bf16 option.

    `settings` are its arguments. Nothing is logged, saved, shown or measured meanwhile, which is the best for it. Rows
    come in their order, so that its batches are those that are given.
    """
    from transformers import Trainer, TrainerCallback, TrainingArguments

    rows = [
        {"input_ids": batch.inputs[row], "labels": batch.labels[row]}
        for batch in batches
        for row in range(len(batch.rows))
    ]

    class Watch(TrainerCallback):
        begun = ended = 0.0

        def on_step_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            if state.global_step == warm_up:
                self.begun = peers.clock()

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            self.ended = peers.clock()

    asked = TrainingArguments(
        output_dir=str(folder),
        max_steps=len(batches),
        per_device_train_batch_size=len(batches[0].inputs),
        train_sampling_strategy="sequential",
        optim=OPTIMIZERS[optimizer],
        lr_scheduler_type="constant",
        bf16=mixed,
        use_cpu=True,
        dataloader_pin_memory=False,
        logging_strategy="no",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        **settings,
    )
    watch = Watch()
    trainer = Trainer(model=model, args=asked, train_dataset=_Rows(rows), callbacks=[watch])
    found = trainer.train()
    return watch.ended - watch.begun, float(found.training_loss)


class _Rows(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    def __init__(self, rows: Sequence[dict[str, torch.Tensor]]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> dict[str, torch.Tensor]:
        return self.rows[row]
