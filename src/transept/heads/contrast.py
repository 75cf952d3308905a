"""wav2vec 2.0's pre-training: tell what was hidden among other hidden frames of the same sound.

Shapes: B batch, F frames, C channels of the features, D width, G groups, V codes in a group, P width of the comparison,
M hidden frames, K other frames to tell each from.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from transept.errors import InvalidConfig
from transept.heads.head import Head, HeadLayer
from transept.parts.dropout import dropout
from transept.parts.entered import Entered

HOT = 2.0  # the temperature at which training draws codes in the beginning


@dataclass(frozen=True)
class Contrasted:
    """contrast: -log p of the true frame, summed over the hidden ones; diversity: how far the codes are from equal use,
    times as many; total: contrast + weight * diversity, what is differentiated. perplexity: how many codes are in use,
    of G V; right: how often the true frame is the nearest; count: hidden frames. All but the count are scalars.
    """

    total: Tensor
    contrast: Tensor
    diversity: Tensor
    perplexity: Tensor
    right: Tensor
    count: int


class Contrast(Head):
    """Guesses of what was hidden, beside the truths: (B, F, 2, P) (Baevski et al. 2020, sections 2 and 3.2).

    A guess is a state projected. A truth is what entered before it was projected and hidden, of `features` channels,
    quantised and projected: each of `groups` books gives one of its `codes`, and these together are `code_width` wide.
    `kappa` divides the cosines of guess and truth, `negatives` is K, `diversity` the weight of that loss, and `dropout`
    is on what is quantised.
    """

    features: int
    groups: int = 2
    codes: int = 320
    code_width: int = 256
    out: int = 256
    kappa: float = 0.1
    negatives: int = 100
    diversity: float = 0.1
    dropout: float = 0.0

    def validate(self) -> None:
        self.hold(1, "features", "groups", "codes", "code_width", "out", "negatives")
        self.hold(0, "diversity")
        self.hold(0, "dropout", below=1)
        if self.kappa <= 0:
            raise InvalidConfig(f"Contrast.kappa must be above 0, not {self.kappa}")
        if self.code_width % self.groups:
            raise InvalidConfig(f"groups={self.groups} does not divide code_width={self.code_width}")

    @property
    def needs_raw(self) -> int | None:
        return self.features

    def build(self, width: int) -> "ContrastLayer":
        return ContrastLayer(self, width)


class ContrastLayer(HeadLayer):
    """`book` (G, V, code_width / G)."""

    def __init__(self, spec: Contrast, width: int) -> None:
        super().__init__()
        self.spec = spec
        self.choose = nn.Linear(spec.features, spec.groups * spec.codes)
        self.book = nn.Parameter(torch.empty(spec.groups, spec.codes, spec.code_width // spec.groups))
        self.guess, self.truth = nn.Linear(width, spec.out), nn.Linear(spec.code_width, spec.out)

    def begin(self) -> None:
        """As wav2vec 2.0: choices N(0, 1), codes uniform within 0 and 1, projections as torch's own."""
        nn.init.normal_(self.choose.weight)
        nn.init.zeros_(self.choose.bias)
        nn.init.uniform_(self.book)
        self.guess.reset_parameters()
        self.truth.reset_parameters()

    def choices(self, entered: Entered) -> Tensor:
        """A score for each code, (B, F, G, V)."""
        assert entered.raw is not None, "a contrast needs an input that hands on its features"
        raw = dropout(entered.raw, self.spec.dropout if self.training else 0.0)
        scores: Tensor = self.choose(raw).unflatten(-1, (self.spec.groups, self.spec.codes))
        return scores

    def chosen(self, choices: Tensor, temperature: float = HOT) -> Tensor:
        """One code of each group as a one-hot vector, (B, F, G, V).

        The best one; in training drawn by Gumbel's noise, with the gradient of the softmax (Jang et al. 2017).
        """
        hot: Tensor = F.one_hot(choices.argmax(-1), self.spec.codes)
        if self.training:
            hot = F.gumbel_softmax(choices.float(), temperature, hard=True)
        return hot.to(choices.dtype)

    def truths(self, chosen: Tensor) -> Tensor:
        """(B, F, G, V) -> (B, F, P)"""
        truths: Tensor = self.truth(torch.einsum("bfgv,gve->bfge", chosen, self.book).flatten(2))
        return truths

    def forward(self, states: Tensor, entered: Entered) -> Tensor:
        return torch.stack([self.guess(states), self.truths(self.chosen(self.choices(entered)))], 2)

    def loss(
        self, states: Tensor, entered: Entered, hidden: Tensor, negatives: Tensor, temperature: float = HOT
    ) -> Contrasted:
        """The loss of states (B, F, D) over the frames that were hidden (B, F), as `draw_negatives` drew the others.

        L = sum_t -log(exp(cos(g_t, q_t) / kappa) / sum_q exp(cos(g_t, q) / kappa)) + diversity * M (GV - sum_g exp
        H(p_g)) / GV, where q are the truth and the others that have another code, and p_g is the mean distribution over
        the codes of group g (equations 2 to 4, the last as the authors' code has it).
        """
        choices = self.choices(entered)
        chosen = self.chosen(choices, temperature)
        guesses = F.normalize(self.guess(states[hidden]).float(), dim=-1, eps=1e-8)
        truths = F.normalize(self.truths(chosen).flatten(0, 1).float(), dim=-1, eps=1e-8)
        own = hidden.flatten().nonzero()  # (M, 1)
        candidates = torch.cat([own, negatives[hidden]], 1)  # (M, 1 + K)
        scores = (guesses @ truths.T).gather(1, candidates) / self.spec.kappa
        codes = chosen.detach().argmax(-1).flatten(0, 1)
        alike = (codes[candidates] == codes[own]).all(-1)
        alike[:, 0] = False
        scores = scores.masked_fill(alike, float("-inf"))
        contrast = F.cross_entropy(scores, torch.zeros_like(own[:, 0]), reduction="sum")
        shares = choices.float().softmax(-1) if self.training else chosen.float()
        perplexity = perplexity_of(shares[hidden])
        every = self.spec.groups * self.spec.codes
        diversity = (every - perplexity) / every * len(own)
        right = (scores.detach().argmax(1) == 0).sum()
        total = contrast + self.spec.diversity * diversity
        return Contrasted(total, contrast.detach(), diversity.detach(), perplexity.detach(), right, len(own))


def perplexity_of(shares: Tensor) -> Tensor:
    """How many codes are in use, summed over groups: sum_g exp H(p_g). shares (M, G, V), p_g their mean."""
    mean = shares.sum(0) / max(len(shares), 1)
    return (-torch.xlogy(mean, mean).sum(-1)).exp().sum()


def draw_negatives(hidden: Tensor, count: int, draws: torch.Generator | None = None) -> Tensor:
    """For each hidden frame `count` others that are hidden in the same row, (B, F, K), counted through the whole batch.

    Each is as likely as any other, and one may come twice. A frame that is the only hidden one of its row gets itself,
    which its loss leaves out. hidden (B, F); frames that are not hidden get 0. `draws` is the processor's generator.
    """
    rows, frames = hidden.shape
    found = torch.zeros(rows, frames, count, dtype=torch.long)
    for i, row in enumerate(hidden.cpu()):
        places = row.nonzero()[:, 0]
        others = torch.randint(max(len(places) - 1, 1), (len(places), count), generator=draws)
        others += others >= torch.arange(len(places))[:, None]  # skip the frame itself
        found[i, places] = places[others.clamp(max=max(len(places) - 1, 0))] + i * frames if len(places) else 0
    return found.to(hidden.device)
