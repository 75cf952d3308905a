"""What a person may say about a search: `search:` in a recipe, and the generation settings of a model directory."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

THEIRS = {  # what Hugging Face's `generate` calls what is called otherwise here
    "num_beams": "It is called beam.",
    "max_new_tokens": "It is called max_tokens (--max-tokens) for generate, max_extra for others.",
    "max_length": "It is called max_whole where the prompt counts, max_extra where it does not.",
    "do_sample": "It is called method=sample.",
    "num_return_sequences": "It is called n_best (--n-best).",
    "no_repeat_ngram_size": "It is called no_repeat_ngram.",
}


class Search(BaseModel):
    """How tokens are chosen from a model's scores, and when to stop."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    method: Literal["greedy", "sample", "beam"] = Field(
        default="beam",
        description="greedy: the best token each time; sample: a drawn one; beam: the best of several hypotheses",
    )
    beam: int = Field(default=5, ge=1, description="live hypotheses of a sentence (beam)")
    n_best: int = Field(
        default=1, ge=1, description="answers to a sentence: at most `beam` of them (beam), or so many draws (sample)"
    )
    penalty: Literal["average", "wu"] = Field(
        default="average",
        description="what divides a log-probability to make a score, |Y| counting the end token and a the "
        "length_penalty: average |Y|^a (fairseq, Hugging Face), wu ((5+|Y|)/6)^a (Wu et al. 2016)",
    )
    length_penalty: float = Field(default=1.0, ge=0.0, description="a in the penalty; 0 compares log-probabilities")
    stop: Literal["first", "bound", "exact"] = Field(
        default="bound",
        description="when a sentence is done, once `beam` hypotheses have ended. first: at once. bound: when the best "
        "live log-probability over the penalty of the present length does not beat the worst score kept, which is "
        "certain only for length_penalty 0. exact: the same over the penalty of the maximal length, which is certain "
        "always and slowest. (Hugging Face's early_stopping: true, false, never)",
    )
    max_ratio: float = Field(
        default=2.0, ge=0.0, description="an answer has at most max_ratio * source + max_extra tokens, its end counted"
    )
    max_extra: int = Field(default=50, ge=0, description="see max_ratio")
    min_length: int = Field(default=0, ge=0, description="an answer has at least so many tokens, its end counted")
    max_whole: int | None = Field(
        default=None,
        ge=2,
        description="a prompt and its answer have at most so many tokens, where max_ratio and max_extra let the answer"
        " have more",
    )
    min_whole: int = Field(
        default=0, ge=0, description="a prompt and its answer have at least so many tokens, their end not counted"
    )
    no_repeat_ngram: int = Field(
        default=0, ge=0, description="so many tokens in a row come once at most, the start counted; 0: any may again"
    )
    repetition_penalty: float = Field(
        default=1.0,
        gt=0.0,
        description="divides the logits of tokens that were there, or multiplies those below 0 (Keskar et al. 2019); in"
        " a beam it multiplies log-probabilities",
    )
    temperature: float = Field(default=1.0, ge=0.0, description="divides the scores of a draw; 0 is greedy (sample)")
    top_k: int | None = Field(default=None, ge=1, description="draw among the k likeliest tokens only (sample)")
    top_p: float | None = Field(
        default=None, gt=0.0, le=1.0, description="draw among the fewest tokens that hold the probability p (sample)"
    )
    seed: int = Field(default=42, ge=0, description="of the draws: one stream a sentence, whatever its batch (sample)")
    batch_tokens: int = Field(
        default=4096, ge=1, description="source tokens of a batch, padding counted; a longer sentence is alone"
    )

    @model_validator(mode="after")
    def _agrees(self) -> "Search":
        if self.method == "greedy" and self.n_best > 1:
            raise ValueError(f"n_best is {self.n_best}, but greedy finds one hypothesis; use method: beam, or sample")
        if self.method == "beam" and self.n_best > self.beam:
            raise ValueError(f"n_best is {self.n_best}, more than the beam of {self.beam}; use beam: {self.n_best}")
        if self.method == "sample" and self.n_best > 1 and self.temperature == 0:
            raise ValueError(f"n_best is {self.n_best}, but all draws at temperature 0 are the same")
        if self.method != "sample":
            for name in ("temperature", "top_k", "top_p"):
                if (value := getattr(self, name)) != type(self).model_fields[name].default:
                    raise ValueError(f"{name} is {value}, but {self.method} draws nothing; use method: sample")
        return self
