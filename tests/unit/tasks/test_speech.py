"""Speech: its loss beside torch's and by all ways to spell, what is hidden, what goes on, what is refused."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from transept.decode.ctc import collapse
from transept.errors import InvalidConfig, InvalidData
from transept.hub.directory import read, save
from transept.inputs.waveform import WaveformLayer
from transept.recipes.recipe import load_recipe
from transept.tasks.classifying import one_stack
from transept.tasks.contrastive import Contrastive, contrasted, hidden_of, measure_contrast
from transept.tasks.settings.contrastive import Contrast
from transept.tasks.speech import Speech, ctc_loss, measure_speech
from transept.tasks.utterances import needs
from transept.train.adapting import adapted
from transept.train.flat import Flat
from unit.data.made_senses import RATE, write_tones

MODEL = (
    "model={family: wav2vec2, width: 16, hidden: 16, heads: 2, depth: 1, channels: [8, 8], kernels: [8, 4],"
    " strides: [8, 4], taps: 4, groups: 2, masked: %s%s}"
)
WORDS = (
    "data.train=tones",
    f"data.rate={RATE}",
    "data.hold={speakers: [s3]}",
    "data.perturb={}",
    "train.batch_tokens=150",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tones(tmp_path / "tones", 16)
    return tmp_path


def speech(folder: Path, *changes: str, told: list[str] | None = None) -> Speech:
    words = [f"data.dir={folder}", MODEL % (0.2, ", dropout: 0.0"), *WORDS, *changes]
    return Speech(load_recipe("wav2vec2-digits", words), say=(told if told is not None else []).append)  # type: ignore[arg-type]


def contrastive(folder: Path, *changes: str) -> Contrastive:
    own = ", codes: 6, code_width: 8, out: 8, negatives: 5"
    words = [f"data.dir={folder}", MODEL % (0.65, own), *WORDS, *changes]
    return Contrastive(load_recipe("wav2vec2-digits-pretrain", words), say=lambda text: None)  # type: ignore[arg-type]


def test_the_fingerprint_tells_what_changes_the_sounds(folder: Path) -> None:
    told = ["{speed: 0.1}", "{speed: 0.1, tempo: 0.0}", "{speed: 0.2}"]
    for make in (speech, contrastive):
        plain, spelt, other = (make(folder, f"data.perturb={words}").fingerprint for words in told)
        assert plain == spelt != other


def built(made: Speech | Contrastive):  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    model = one_stack(made.build())
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model


def test_the_loss_is_torchs_and_padding_counts_for_nothing(folder: Path) -> None:
    made = speech(folder, 'data.spell={"a": abba, "b": "b a"}')
    model = built(made).eval()
    batch = made.batches("train", 0)[0]
    loss = ctc_loss(model, batch)
    one_by_one = 0.0
    for i, row in enumerate(batch.rows):
        wave = batch.waves[i][batch.valid[i]][None]
        states, entered = model.hidden(wave)
        logs = model.head(states, entered).log_softmax(-1)[0]
        ids = made.letters.encode(made.train.text(row))
        right = F.ctc_loss(logs[:, None], torch.tensor([ids]), [len(logs)], [len(ids)], 0, reduction="sum")
        one_by_one += float(right.detach())
    assert float(loss.total) == pytest.approx(one_by_one, rel=1e-4)
    assert loss.count == sum(len(made.letters.encode(made.train.text(row))) for row in batch.rows)


def test_few_sounds_are_of_every_text_and_among_more(folder: Path) -> None:
    whole = speech(folder).train
    texts = [whole.text(row) for row in range(len(whole))]
    kinds, met = sorted(set(texts)), set[str]()
    for count in (len(kinds), 2 * len(kinds) + 1, len(whole)):
        few = speech(folder, f"data.labels={count}").train
        names = [few.name(row) for row in range(len(few))]
        assert len(set(names)) == count
        own = [few.text(row) for row in range(len(few))]
        assert max(map(own.count, kinds)) - min(map(own.count, kinds)) <= (1 if count < len(whole) else len(whole))
        assert met <= set(names)
        met = set(names)
    assert {
        speech(folder, f"data.labels={len(kinds)}", "train.seed=2").train.name(row) for row in range(len(kinds))
    } != {speech(folder, f"data.labels={len(kinds)}", "train.seed=3").train.name(row) for row in range(len(kinds))}
    with pytest.raises(InvalidConfig, match=r"data.labels: 999 sounds are wanted, and there are \d+ to train on"):
        speech(folder, "data.labels=999")
    with pytest.raises(InvalidConfig, match="labels"):
        contrastive(folder, "data.labels=2")


def test_the_loss_sums_over_all_ways_to_spell(folder: Path) -> None:
    head = built(speech(folder)).head
    torch.manual_seed(1)
    logs = torch.randn(1, 5, head.spec.count).log_softmax(-1)
    text = [5, 6, 6]
    ways = [way for way in itertools.product((0, 5, 6), repeat=5) if collapse(list(way)) == text]
    assert len(ways) > 1
    total = torch.stack([sum(logs[0, t, letter] for t, letter in enumerate(way)) for way in ways]).logsumexp(0)  # type: ignore[misc]
    found = F.ctc_loss(logs.transpose(0, 1), torch.tensor([text]), [5], [3], 0, reduction="sum")
    assert float(found) == pytest.approx(-float(total), rel=1e-5)
    assert needs(text) == 4 and needs([]) == 0


def test_a_text_that_its_sound_cannot_spell_is_named(folder: Path) -> None:
    long = "x" * 40
    with pytest.raises(InvalidData, match=r"tones/a_s0_0.wav: the text 'xxx.* needs 79 frames, and the sound has"):
        speech(folder, f'data.spell={{"a": {long}}}')


def test_speed_never_leaves_too_few_frames_for_a_text(folder: Path) -> None:
    made = speech(folder, 'data.spell={"a": "abababababababab", "b": "b"}', "data.perturb={speed: 0.6, shift: 0.01}",
                  "train.batch_tokens=400")  # fmt: skip
    model = built(made)
    for epoch in range(5):
        batches = made.batches("train", epoch)
        for i in range(len(batches)):
            assert bool(ctc_loss(model, batches[i]).total.isfinite())
            frames = model.spec.embed.features.frames(batches[i].waves.size(1))
            assert len(batches[i].rows) * frames <= 400


def test_outputs_stand_at_their_rows_and_texts_are_compared_as_they_are_spelt(folder: Path) -> None:
    made = speech(folder, "data.case=upper")
    assert set("AB") <= set(made.letters.tokens(range(made.letters.vocab)))
    model = built(made)
    found = measure_speech(model, made.valid, made.letters, 100)
    again = measure_speech(model, made.valid, made.letters, 10_000)
    assert found.outputs == again.outputs
    assert found.loss == pytest.approx(again.loss, rel=1e-4)
    assert found.scores["wer"].value >= 0


# ------------------------------------------------------------------ without labels


def test_what_is_hidden_is_of_real_frames_and_repeats(folder: Path) -> None:
    made = contrastive(folder)
    model = built(made)
    batch = made.batches("train", 0)[0]
    hide = hidden_of(model, batch, torch.Generator().manual_seed(0))
    frames = [model.spec.embed.features.frames(int(n)) for n in batch.valid.sum(1)]
    assert hide.any() and not any(row[count:].any() for row, count in zip(hide, frames, strict=True))
    one, two = (contrasted(model.eval(), batch, 1.0, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one.total, two.total)
    assert one.count == int(hidden_of(model, batch, torch.Generator().manual_seed(3)).sum())
    found = measure_contrast(model, made.valid, 200)
    assert found.values() == measure_contrast(model, made.valid, 200).values()
    assert set(found.values()) == {"loss", "accuracy", "codes"}


def test_the_convolutions_learn_by_a_tenth(folder: Path) -> None:
    whole, tenth = contrastive(folder, "contrast.features=1.0"), contrastive(folder)
    gradients = []
    for made in (whole, tenth):
        model = built(made)
        flat = Flat(model)
        torch.manual_seed(5)
        made.loss(model, made.batches("train", 0)[0]).total.backward()
        gradients.append({place.name: place.of(flat.gradient).clone() for place in flat.places})
    assert any(name.startswith("embed.features") for name in gradients[0])
    for name, gradient in gradients[0].items():
        scale = 0.1 if name.startswith("embed.features") else 1.0
        torch.testing.assert_close(gradients[1][name], scale * gradient, rtol=1e-4, atol=1e-6)


def test_the_temperature_falls_with_the_updates_and_they_are_remembered(folder: Path) -> None:
    how = Contrast()
    assert how.at(0) == 2.0 and how.at(10) == pytest.approx(2.0 * 0.999995**10) and how.at(10**7) == 0.5
    made, other = contrastive(folder), contrastive(folder)
    for _ in range(3):
        made.heed([])
    other.recall(made.remembered())
    assert other.updates == 3
    with pytest.raises(ValueError, match="floor 3 is above temperature 2"):
        Contrast(floor=3.0)


def test_a_sound_too_short_to_hide_in_is_refused(folder: Path) -> None:
    with pytest.raises(InvalidConfig, match="are hidden in a row"):
        contrastive(folder, MODEL.replace("strides: [8, 4]", "strides: [32, 4]") % (0.65, ""))
    with pytest.raises(InvalidConfig, match="nothing is hidden from this model"):
        contrastive(folder, MODEL % (0.0, ""))


# ------------------------------------------------------------------ one after the other


def test_what_was_learned_without_labels_is_tuned_with_them(folder: Path, tmp_path: Path) -> None:
    first = contrastive(folder)
    model = built(first)
    save(tmp_path / "pre", model, processor=first.hears)
    told: list[str] = []
    made = speech(folder, f"start={tmp_path / 'pre'}", "train.freeze=[embed.features]", "tune.times=0.1", told=told)
    assert any("a new head, Letters of 7, begins in place of Contrast" in line for line in told)
    tuned = one_stack(adapted(made.build(), made.recipe.train))
    assert made.spec.embed.times.share == 0.1  # type: ignore[attr-defined]
    kept = [name for name in tuned.state_dict() if not name.startswith("head.")]
    assert "embed.hidden" in kept
    for name in kept:
        assert torch.equal(tuned.state_dict()[name], model.state_dict()[name]), name
    assert isinstance(tuned.embed, WaveformLayer)
    assert not any(p.requires_grad for p in tuned.embed.features.parameters())
    save(tmp_path / "tuned", tuned, tokenizer=made.letters, processor=made.hears)
    told.clear()
    again = speech(folder, f"start={tmp_path / 'tuned'}", told=told)
    assert any("its head goes on" in line for line in told)
    for name, tensor in again.build().state_dict().items():
        assert torch.equal(tensor, tuned.state_dict()[name]), name
    assert read(tmp_path / "tuned").tokenizer is not None
    told.clear()
    speech(folder, f"start={tmp_path / 'tuned'}", 'data.spell={"a": zz}', told=told)  # a letter that it has not
    assert any("a new head, Letters of 7" in line for line in told)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_frozen_comes_out_bit_for_bit(folder: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    model = built(speech(folder))
    model.embed.features.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    flat = Flat(model, dtype)
    after = flat.tensors()
    assert after.keys() == before.keys()
    for name, tensor in before.items():
        assert torch.equal(after[name], tensor), name
    flat.load({name: tensor + 1 for name, tensor in before.items()})
    for name, tensor in model.state_dict().items():
        assert tensor.dtype == dtype
        torch.testing.assert_close(tensor.float(), before[name] + 1, rtol=1e-2, atol=1e-2)
        assert torch.equal(flat.tensors()[name], before[name] + 1), name


def test_other_models_are_refused(folder: Path) -> None:
    vit = "model={family: vit, width: 16, hidden: 16, heads: 2, depth: 1}"
    with pytest.raises(InvalidConfig, match="this model hears no sound, as speech needs"):
        speech(folder, vit)
    with pytest.raises(InvalidConfig, match="model.head: classes has another head than speech trains, Letters"):
        speech(folder, MODEL % (0.1, ", head: classes"))
    with pytest.raises(InvalidConfig, match="encoder and a decoder"):
        speech(folder, "model={family: transformer, size: tiny}")
    assert np.isfinite(speech(folder).train.seconds)
