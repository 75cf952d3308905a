"""Rows and columns of pictures against Hugging Face's MAE, BEiT and Pixtral, and where a grid does not fit."""

import pytest
import torch
import transformers
from torch.testing import assert_close
from transformers.models.beit.modeling_beit import BeitRelativePositionBias
from transformers.models.pixtral.modeling_pixtral import PixtralVisionRotaryEmbedding
from transformers.models.vit_mae.modeling_vit_mae import build_2d_sinusoidal_position_embedding

from transept.errors import InvalidConfig, InvalidData
from transept.families import bert, vit
from transept.inputs.annotations import Annotations
from transept.inputs.patches import Patches
from transept.inputs.waveform import Waveform
from transept.parts.attention import Attention
from transept.parts.convnet import Convnet
from transept.parts.convolution import Convolutions
from transept.parts.grid import Grid, GridBias, GridRotary
from transept.parts.position import Learned, Sinusoid, Structural

TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


def test_sinusoids_are_those_of_mae() -> None:
    theirs = build_2d_sinusoidal_position_embedding(height=3, width=5, embed_dim=24, cls_token=True)
    theirs = torch.cat([theirs[..., 12:], theirs[..., :12]], -1)  # as the released weights have it, columns first
    ours = Grid(3, 5, 1, "sinusoid").build(24)(torch.arange(16)[None])
    assert_close(ours[0], theirs, **TOLERANCE)
    assert float(ours[0, 2:].abs().min(1).values.max()) > 0  # no square without a number


def test_scores_are_those_of_beit() -> None:
    config = transformers.BeitConfig(
        hidden_size=24, num_attention_heads=3, image_size=(32, 32), patch_size=8, use_relative_position_bias=True
    )
    theirs = BeitRelativePositionBias(config)
    torch.nn.init.normal_(theirs.relative_position_bias_table)
    ours = GridBias(3, 4, 4, 1).build(24)
    with torch.no_grad():
        ours.weight.copy_(theirs.relative_position_bias_table)
    at = torch.arange(17)[None]
    made, wanted = ours(at[:, :, None], at[:, None]), theirs((4, 4))  # theirs mixes up the sides of what is not square
    assert_close(made, wanted.reshape(made.shape), **TOLERANCE)


def test_turns_are_those_of_pixtral() -> None:
    config = transformers.PixtralVisionConfig(hidden_size=32, num_attention_heads=2, image_size=40, patch_size=8)
    rows, columns = torch.meshgrid(torch.arange(3), torch.arange(5), indexing="ij")
    theirs = PixtralVisionRotaryEmbedding(config)(torch.zeros(1), torch.stack([rows.flatten(), columns.flatten()], 1))
    base = float(config.rope_parameters["rope_theta"])
    cosine, sine = GridRotary(3, 5, base=base).angles(torch.arange(15)[None], 16)
    assert_close(cosine[0, 0], theirs[0], **TOLERANCE)
    assert_close(sine[0, 0], theirs[1], **TOLERANCE)
    still, _ = GridRotary(3, 5, 2, base).angles(torch.arange(17)[None], 16)
    assert torch.equal(still[0, 0, :2], torch.ones(2, 16))
    assert torch.equal(still[0, 0, 2:], cosine[0, 0])


def test_scores_of_turned_squares_depend_on_the_offset_alone() -> None:
    torch.manual_seed(0)
    rotary, q, k = GridRotary(6, 6), torch.randn(1, 1, 1, 16), torch.randn(1, 1, 1, 16)

    def score(a: tuple[int, int], b: tuple[int, int]) -> torch.Tensor:
        turned = [
            rotary.turn(x, rotary.angles(torch.tensor([[6 * row + column]]), 16))
            for x, (row, column) in ((q, a), (k, b))
        ]
        return (turned[0] * turned[1]).sum()

    assert_close(score((0, 1), (2, 0)), score((3, 5), (5, 4)), **TOLERANCE)
    assert abs(float(score((0, 1), (2, 0)) - score((0, 1), (0, 2)))) > 1e-3


def test_learned_rows_and_columns_are_added() -> None:
    layer = Grid(2, 3, 1).build(4)
    for table in layer.parameters():
        torch.nn.init.normal_(table)
    made = layer(torch.arange(7)[None])[0]
    assert torch.equal(made[0], layer.before[0])
    for at in range(6):
        assert torch.equal(made[1 + at], layer.row[at // 3] + layer.column[at % 3])
    assert sum(table.numel() for table in layer.parameters()) == (1 + 2 + 3) * 4


@pytest.mark.parametrize("spec", [Grid(2, 3, 1), Grid(2, 3, 1, "sinusoid"), GridRotary(2, 3, 1)], ids=str)
def test_a_grid_ends(spec: Grid | GridRotary) -> None:
    late = torch.tensor([[7]])
    with pytest.raises(InvalidData, match="8 tokens, and the model has 7 positions\n  Shorten the input"):
        spec.angles(late, 8) if isinstance(spec, GridRotary) else spec.build(8)(late)
    assert spec.limit() == GridBias(2, 2, 3, 1).limit() == 7


def test_a_model_of_pictures_tells_its_grid() -> None:
    torch.manual_seed(0)
    pictures = torch.randn(2, 3, 12, 12)
    table = vit.declare(**vit.TOY).build()
    for positions in ("grid", "grid_sinusoid", "grid_bias", "grid_rotary", "sinusoid", "learned(12)", "none"):
        model = vit.declare(**vit.TOY, positions=positions).build().eval()
        assert model(pictures).logits.shape == (2, 7)
        moved = pictures.roll(4, 3)  # the columns of squares change places
        felt = float((model(moved).logits - model(pictures).logits).detach().abs().max())
        assert (felt < 1e-5) == (positions == "none"), positions
    names = {name for name, _ in table.named_parameters() if "position" in name}
    assert names == {"embed.position"}  # the paper's table is where it was


def test_other_grids_are_refused_with_both() -> None:
    wrong = {
        "for another grid than what enters: 3 x 3 squares after 1 token": Grid(3, 4, 1),
        "has 9 positions, and there are 10: 3 x 3 squares": Learned(9),
        "is a place in the tree of a sentence, and a picture has none": Structural(),
    }
    for words, position in wrong.items():
        with pytest.raises(InvalidConfig, match=words):
            Patches((12, 12), (4, 4), position=position)
    with pytest.raises(InvalidConfig, match="resize: bicubic stretches a table of positions"):
        Patches((12, 12), (4, 4), position=Sinusoid(), resize="bicubic")
    with pytest.raises(InvalidConfig, match="resize: bicubic stretches a learned table"):
        vit.declare(**vit.TOY, positions="grid", resize="bicubic")
    net = Convnet(((8,),), (2,))
    with pytest.raises(InvalidConfig, match="for another grid"):
        Annotations((8, 8), net, Grid(7, 7))
    with pytest.raises(InvalidConfig, match="sound has neither tree nor grid"):
        Waveform(Convolutions((8,), (3,), (2,)), position=Grid(3, 3))
    spec = bert.declare(**bert.TOY, positions="grid_bias(4, 4)")
    assert spec.limit() == 16
    with pytest.raises(InvalidData, match="17 tokens, and the model has 16 positions"):
        spec.build()(torch.ones(1, 17, dtype=torch.long))
    for wide in (6, 10):
        with pytest.raises(InvalidConfig, match="fours|turn in pairs"):
            Grid(2, 2, form="sinusoid").build(wide)
    with pytest.raises(InvalidConfig, match="cannot turn heads of 6 features"):
        Attention(2, position=GridRotary(2, 2)).build(12)
