"""Draw what a translation looked at: the cross-attention of every layer, averaged over heads, as one picture.

    python examples/attention_picture.py runs/demo "<2de> Thursday, March 5, 2026" attention.png

The model runs as it always does, on its fast kernel; the weights are computed beside it from what the kernel was asked.
"""

import sys
from pathlib import Path

import matplotlib
import torch

import transept
from transept.data.subwords import Subwords

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def cross_attention(model: torch.nn.Module, source: torch.Tensor, target: torch.Tensor) -> list[torch.Tensor]:
    """The weights of each attention to the source in order, each (H, T, S), for one sentence pair (1, S) and (1, T)."""
    with transept.record(model, "decoder.*") as kept, torch.no_grad():
        model(source, target)
    return [rows[0] for name, rows in kept.items() if name.endswith(("cross", "attend"))]


def labels(tokenizer: Subwords, ids: list[int]) -> list[str]:
    """What a person reads for each token: its text, or the name of one that stands for no text."""
    return [tokenizer.decode([i]).strip() or tokenizer.tokens([i])[0] for i in ids]


def draw(run: str, text: str, picture: Path) -> str:
    """Translate a text and draw the picture; the translation."""
    loaded = transept.load(run)
    translation = loaded.translate(text)
    source = loaded.tokenizer.encode(text)
    # The decoder reads the beginning and all but its last token; row t is where it looked to write token t.
    target = [loaded.tokenizer.bos, *translation.ids[:-1]]
    weights = cross_attention(loaded.model, torch.tensor([source]), torch.tensor([target]))
    figure, axes = plt.subplots(1, len(weights), figsize=(4.6 * len(weights), 3.9), sharey=True, squeeze=False)
    for number, (axis, layer) in enumerate(zip(axes[0], weights, strict=True), 1):
        axis.imshow(layer.mean(0).numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axis.set_title(f"decoder layer {number}", fontsize=10)
        axis.set_xticks(range(len(source)), labels(loaded.tokenizer, source), rotation=60, ha="right", fontsize=8)
        axis.set_yticks(range(len(target)), labels(loaded.tokenizer, translation.ids), fontsize=8)
        axis.set_xlabel("reads")
    axes[0][0].set_ylabel("writes")
    figure.suptitle(f"{text}  →  {translation}", fontsize=11)
    figure.tight_layout()
    figure.savefig(picture, dpi=130)
    plt.close(figure)
    return str(translation)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    print(draw(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
