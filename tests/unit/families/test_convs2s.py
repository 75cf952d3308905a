"""ConvS2S: the sizes of others, the language model of windows, what a recipe may say."""

from typing import Any

import pytest

from laws import test_cache as cached
from laws import test_invariance as invariance
from laws.subjects import lively
from transept.errors import InvalidConfig
from transept.families.convs2s import SIZES, TOY, declare
from transept.families.declared import declared
from transept.models import Model, Seq2Seq
from transept.parts.windows import Windows
from transept.spec import replace
from transept.topology import outline


def parameters(size: str, source: int, target: int) -> int:
    """How many a published size has, with a vocabulary for each side."""
    spec = declare(vocab=target, **SIZES[size])
    assert isinstance(spec, Seq2Seq)
    assert spec.source is not None
    return sum(p.numel() for p in outline(replace(spec, source=replace(spec.source, vocab=source))).parameters())


def test_the_notebook_has_as_many_parameters() -> None:
    """It prints as many, with 7,853 German and 5,893 English words."""
    assert parameters("notebook", 7853, 5893) == 37_351_173


def of_the_authors_code(
    source: int, target: int, width: int, encoder: list[tuple[int, int]], decoder: list[tuple[int, int]], readout: int
) -> int:
    """The parameters of fairseq's fconv, counted from its layers; each of its matrices has a bias and gains."""

    def linear(inward: int, outward: int) -> int:
        return inward * outward + 2 * outward

    def stack(layers: list[tuple[int, int]], leave: int) -> int:
        given, count = layers[0][0], linear(width, layers[0][0])
        for channels, kernel in layers:
            count += linear(kernel * given, 2 * channels) + (linear(given, channels) if given != channels else 0)
            given = channels
        return count + linear(given, leave)

    attention = sum(linear(channels, width) + linear(width, channels) for channels, _ in decoder)
    tables = (source + target + 2 * 1024) * width
    return tables + stack(encoder, width) + stack(decoder, readout) + attention + linear(readout, target)


@pytest.mark.parametrize(
    ("size", "width", "encoder", "decoder", "readout"),
    [
        ("en-ro", 512, [(512, 3)] * 20, [(512, 3)] * 20, 512),
        ("en-de", 768, [(512, 3)] * 9 + [(1024, 3)] * 4 + [(2048, 1)] * 2, None, 512),
        ("en-fr", 768, [(512, 3)] * 6 + [(768, 3)] * 4 + [(1024, 3)] * 3 + [(2048, 1), (4096, 1)], None, 512),
        ("iwslt", 256, [(256, 3)] * 4, [(256, 3)] * 3, 256),
    ],
)
def test_a_published_size_has_as_many(size: str, width: int, encoder: Any, decoder: Any, readout: int) -> None:
    wanted = of_the_authors_code(3000, 2000, width, encoder, decoder or encoder, readout)
    assert parameters(size, 3000, 2000) == wanted


@pytest.mark.parametrize("check", [*cached.CHECKS, invariance.check_alone, invariance.check_no_leak])
def test_the_language_model_keeps_the_laws(check: Any) -> None:
    spec = declare(**TOY, form="language_model")
    assert isinstance(spec, Model)
    assert spec.stack.causal
    check(lively(spec))


def test_how_far_a_decoder_looks_back() -> None:
    spec = declare(vocab=10, **SIZES["en-de"], form="language_model")
    assert isinstance(spec, Model)
    assert isinstance(spec.stack, Windows)
    assert spec.stack.field() == tuple(range(-26, 1))  # thirteen layers of three words; those of one add nothing


def test_a_recipe_may_give_lists() -> None:
    made = declared({"family": "convs2s", "width": 16, "hidden": [16, 32], "depth": [1, 2], "readout": 8}, 23)
    assert isinstance(made, Seq2Seq)
    assert isinstance(made.encoder, Windows)
    assert [kernels.hidden for kernels in made.encoder.each()] == [16, 32, 32]


def test_unequal_counts_are_refused() -> None:
    with pytest.raises(InvalidConfig, match=r"hidden=\(16, 32\).*depth=\(1, 1, 2\)"):
        declare(vocab=23, width=16, hidden=(16, 32), depth=(1, 1, 2), readout=8)
