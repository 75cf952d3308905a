"""What training changes of pictures and of sounds: where it leads, that it repeats, and that it keeps what it must."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from transept.data.augment import augmented, cropped, erased, mixed, moved, posterise, solarise, turn
from transept.data.config_senses import Augment, Perturb
from transept.data.waves import filtered, longest_of, perturbed, sped, stretched, trimmed


def pictures(count: int = 6, channels: int = 3) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, channels, 12, 10))).float()


def draws(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng([seed, 1])


def test_a_crop_is_a_piece_of_the_padded_picture() -> None:
    x = pictures()
    padded = torch.nn.functional.pad(x, (2, 2, 2, 2))
    found = cropped(x, 2, draws())
    places = []
    for i in range(len(x)):
        here = [
            (top, left)
            for top in range(5)
            for left in range(5)
            if torch.equal(found[i], padded[i, :, top : top + 12, left : left + 10])
        ]
        assert here
        places.append(here[0])
    assert len(set(places)) > 1


def test_flips_are_mirror_images_or_nothing() -> None:
    x = pictures(40)
    found = augmented(x, Augment(flip="horizontal"), draws())
    same = [torch.equal(a, b) for a, b in zip(found, x, strict=True)]
    turned = [torch.equal(a, b.flip(2)) for a, b in zip(found, x, strict=True)]
    assert all(a != b for a, b in zip(same, turned, strict=True))
    assert 8 < sum(turned) < 32


@pytest.mark.parametrize("among", ["all", "geometry"])
@pytest.mark.parametrize("channels", [1, 3])
def test_operations_repeat_stay_in_range_and_leave_the_given_alone(among: str, channels: int) -> None:
    x = pictures(64, channels)
    before = x.clone()
    how = Augment(operations=2, magnitude=9, among=among)  # type: ignore[arg-type]
    first, again, other = (augmented(x, how, draws(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(x, before)
    assert first.shape == x.shape and float(first.min()) >= 0 and float(first.max()) <= 255 + 1e-3
    assert torch.equal(augmented(x, Augment(), draws()), x)


def test_a_quarter_turn_moves_what_it_should() -> None:
    x = torch.zeros(1, 1, 9, 9)
    x[0, 0, 4, 7] = 1.0
    found = moved(x, torch.tensor([turn(3.0, False)]))  # three times 30 degrees
    assert found[0, 0].argmax() == 1 * 9 + 4 or found[0, 0].argmax() == 7 * 9 + 4
    assert float(found.sum()) == pytest.approx(1.0, abs=1e-5)
    same = moved(pictures(), torch.tensor([[[1.0, 0, 0], [0, 1.0, 0]]] * 6))
    torch.testing.assert_close(same, pictures(), rtol=1e-5, atol=1e-3)


def test_posterising_and_solarising_are_pillows() -> None:
    pillow = pytest.importorskip("PIL.ImageOps", reason="Pillow is not installed")
    from PIL import Image

    x = torch.arange(256.0).view(1, 1, 16, 16)
    image = Image.fromarray(x[0, 0].numpy().astype(np.uint8))
    full = torch.ones(1, 1, 1, 1)
    assert np.array_equal(posterise(x, full)[0, 0].numpy(), np.asarray(pillow.posterize(image, 4)))
    assert np.array_equal(solarise(x, full * 0.5)[0, 0].numpy(), np.asarray(pillow.solarize(image, 128)))


def test_erasing_leaves_the_rest_and_takes_what_it_says() -> None:
    x = torch.full((50, 2, 20, 20), 7.0)
    found = erased(x, 1.0, draws())
    shares = (found != 7.0).all(1).float().mean((1, 2))
    assert float(shares.min()) > 0.01 and float(shares.max()) < 0.4
    assert torch.equal(erased(x, 0.0, draws()), x)


def test_mixing_mixes_pictures_and_targets_alike() -> None:
    targets = torch.eye(6)
    found, shares = mixed(pictures(), targets, 0.4, draws())
    torch.testing.assert_close(shares.sum(1), torch.ones(6), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(torch.einsum("ij,jchw->ichw", shares, pictures()), found, rtol=1e-5, atol=1e-3)


def test_a_faster_sound_is_shorter_and_higher() -> None:
    wave = np.sin(2 * np.pi * 50 * np.arange(8000) / 8000).astype(np.float32)
    fast = sped(wave, 1.25)
    assert len(fast) == 6400
    assert np.abs(np.fft.rfft(fast)).argmax() == 50  # as many swings, in less time
    assert len(sped(wave, 2.0, least=7000)) == 7000


@pytest.mark.parametrize("factor", [0.8, 0.93, 1.12])
def test_what_is_high_stays_as_strong_at_another_speed(factor: float) -> None:
    wave = np.sin(2 * np.pi * 3000 * np.arange(8000) / 8000).astype(np.float32)  # 3.4 kHz at most: below half the rate
    assert sped(wave, factor)[200:-200].std() == pytest.approx(wave.std(), rel=2e-3)


def test_what_is_too_high_for_a_faster_sound_is_gone_from_it() -> None:
    wave = np.sin(2 * np.pi * 3600 * np.arange(8000) / 8000).astype(np.float32)
    assert sped(wave, 1.25)[200:-200].std() < 1e-2  # 4.5 kHz would come back as 3.5


def voice(seconds: float = 0.5, rate: int = 8000) -> np.ndarray:
    """Ten overtones of 110 Hz, which grow and fade."""
    at = np.arange(int(seconds * rate)) / rate
    return (np.hanning(len(at)) * sum(np.sin(2 * np.pi * 110 * k * at + k) for k in range(1, 11))).astype(np.float32)


@pytest.mark.parametrize("factor", [0.7, 0.9, 1.2, 1.6])
def test_another_tempo_keeps_the_pitch_and_the_course_of_the_strength(factor: float) -> None:
    wave = voice()
    made = stretched(wave, factor, 8000)
    assert len(made) == round(4000 / factor) and made.dtype == np.float32
    waves = np.abs(np.fft.rfft(made, 32000))
    assert abs(waves[300:600].argmax() + 300 - 440) <= 8  # a quarter of a hertz a place: 110 Hz
    for share in (0.25, 0.5, 0.75):
        old, new = (one[int(len(one) * share) - 150 :][:300].std() for one in (wave, made))
        assert new == pytest.approx(old, rel=0.2)  # a place is up to 12.5 ms from its own


def test_the_same_tempo_changes_nothing() -> None:
    for wave in (voice(), np.random.default_rng(0).standard_normal(3001).astype(np.float32), voice(0.003)):
        assert np.allclose(stretched(wave, 1.0, 8000), wave, rtol=0, atol=1e-6)


@pytest.mark.parametrize("rate", [40, 8000])
def test_a_tempo_of_silence_and_of_a_click(rate: int) -> None:
    for count in (1, 2, 99, 1000):
        for factor in (0.5, 1.5):
            assert not stretched(np.zeros(count, np.float32), factor, rate).any()
            assert np.isfinite(stretched(np.ones(count, np.float32), factor, rate, least=7)).all()
    assert len(stretched(np.ones(100, np.float32), 2.0, rate, least=80)) == 80


def test_what_is_quiet_at_either_end_is_trimmed() -> None:
    rising = np.concatenate([np.full(1000, share, np.float32) for share in (0.1, 0.3, 0.2, 1.0, 0.2, 0.5, 0.1)])
    assert np.array_equal(trimmed(rising, 0.0, 0.0, 8000), rising)
    for before, after, first, last in ((0.15, 0.15, 1, 6), (0.25, 0.4, 1, 6), (0.4, 0.6, 3, 4), (0.05, 0.15, 0, 6)):
        made = trimmed(rising, before, after, 8000)
        assert abs(len(made) - 1000 * (last - first)) <= 80  # a window of 10 ms on either side
        start = next(at for at in range(len(rising)) if np.array_equal(rising[at : at + len(made)], made))
        assert abs(start - 1000 * first) <= 80
    assert len(trimmed(rising, 0.9, 0.9, 8000, least=2000)) == len(rising)
    assert not trimmed(np.zeros(50, np.float32), 0.9, 0.9, 8000).any()
    assert len(trimmed(np.ones(1, np.float32), 0.9, 0.9, 8000)) == 1
    tone = np.ones(800, np.float32)
    assert np.array_equal(trimmed(tone, 1.0, 1.0, 16000), tone)  # what is beyond its ends is not taken for silence


def test_each_end_is_trimmed_by_a_share_of_its_own() -> None:
    steps = np.concatenate([np.full(800, share, np.float32) for share in (0.1, 0.2, 0.3, 0.4, 1, 0.4, 0.3, 0.2, 0.1)])
    made = [perturbed(steps, Perturb(trim=0.6), 8000, draws(seed)) for seed in range(60)]
    firsts, lasts = [round(float(one[50]), 1) for one in made], [round(float(one[-50]), 1) for one in made]
    assert set(firsts) == set(lasts) == {0.1, 0.2, 0.3, 0.4, 1.0} and firsts != lasts
    least = [len(perturbed(steps, Perturb(trim=0.6), 8000, draws(seed), 5000)) for seed in range(60)]
    assert min(least) >= 5000 and len(set(least)) > 1


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_that_would_leave_nothing_is_refused(share: float) -> None:
    with pytest.raises(ValidationError, match="trim"):
        Perturb(trim=share)


def test_bands_are_stronger_or_weaker_in_straight_lines() -> None:
    wave = np.random.default_rng(0).standard_normal(4001).astype(np.float32)
    before = np.abs(np.fft.rfft(wave))
    bends = set()
    for seed in range(30):
        made = filtered(wave, 9.0, draws(seed))
        assert made.dtype == np.float32 and len(made) == len(wave)
        gains = 20 * np.log10(np.abs(np.fft.rfft(made)) / before)
        assert np.abs(gains).max() <= 9.01 and gains.std() > 0.1
        bent = np.abs(np.diff(gains, 2)) > 1e-3
        bends.add(int((bent[1:] & ~bent[:-1]).sum() + bent[0]))
    assert bends <= {0, 1, 2, 3, 4} and len(bends) > 2
    assert np.allclose(filtered(wave, 0.0, draws()), wave, rtol=0, atol=1e-5)
    assert len(filtered(wave[:1], 9.0, draws())) == 1
    assert not np.array_equal(perturbed(wave, Perturb(bands=6.0), 8000, draws(1)), wave)


def test_settings_that_are_not_used_are_not_told() -> None:
    assert Perturb(speed=0.1, trim=0.0).changed() == {"speed": 0.1} and Perturb().changed() == {}


def test_what_perturbs_keeps_to_its_limits_and_repeats() -> None:
    how = Perturb(speed=0.1, tempo=0.08, noise=0.1, shift=0.05)
    wave = np.random.default_rng(0).standard_normal(4000).astype(np.float32)
    made = [perturbed(wave, how, 8000, draws(seed)) for seed in range(20)]
    again = perturbed(wave, how, 8000, draws(3))
    assert np.array_equal(made[3], again)
    most = longest_of(np.array([4000]), how, 8000, lambda samples: samples)[0]
    assert all(4000 / 1.1 / 1.08 - 2 <= len(one) <= most for one in made)
    assert len({len(one) for one in made}) > 10
    assert perturbed(wave, Perturb(), 8000, draws()) is wave


def test_a_tilt_weighs_low_tones_against_high_ones() -> None:
    low, high = (np.sin(np.arange(800, dtype=np.float32) * step) for step in (0.05, 3.0))
    how, found = Perturb(tilt=0.9), []
    for seed in range(40):
        one, other = (perturbed(wave, how, 8000, draws(seed)) for wave in (low, high))
        assert one.dtype == np.float32 and len(one) == 800
        found.append(float(np.log(one.std() / low.std()) - np.log(other.std() / high.std())))
    assert min(found) < -1.5 and max(found) > 1.5  # either way, and the same tilt for both
    assert np.allclose(perturbed(low, how, 8000, draws(7)), perturbed(low, how, 8000, draws(7)), rtol=0, atol=0)
