import json
from typing import Any

import pytest
from pydantic import ValidationError

from transept.train.config import TrainConfig

LEAST = {"stop": "60u", "batch_tokens": 4096, "schedule": {"name": "constant", "rate": 0.001}}


def read(**changes: Any) -> TrainConfig:
    return TrainConfig.model_validate_json(json.dumps(LEAST | changes))


def test_what_is_written_is_read_back() -> None:
    config = read(optimizer={"name": "adamw", "betas": [0.8, 0.9], "weight_decay": 0.1}, save_every="10min")
    assert TrainConfig.model_validate_json(config.model_dump_json()) == config


def test_checkpoints_are_saved_at_validations_unless_said_otherwise() -> None:
    assert read(validate_every="3u").save_at == read(validate_every="3u").validate_at
    assert str(read(validate_every="3u", save_every="10min").save_at) == "10min"


@pytest.mark.parametrize(
    "changes",
    [
        {"stop": 60},
        {"stop": "60"},
        {"seed": "1"},
        {"sede": 1},
        {"batch_tokens": 0},
        {"keep": 1},
        {"smoothing": 1.0},
        {"device": "gpu"},
        {"device": "mps"},
        {"optimizer": {"betas": [0.9, 1.0]}},
        {"optimizer": {"name": "sgd"}},
        {"schedule": {"name": "noam"}},
        {"schedule": {"name": "noam", "width": 8, "floor": 0.1}},
        {"schedule": {"name": "linear", "rate": 1.0, "warmup": 10, "updates": 10}},
        {"schedule": {"name": "cosine", "rate": 1.0, "floor": 2.0, "updates": 10}},
    ],
)
def test_refuses_what_cannot_be(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read(**changes)


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_a_falling_rate_ends_where_training_does_unless_it_says(name: str) -> None:
    falling = {"name": name, "rate": 1.0, "warmup": 10}
    for stop, schedule, updates in (
        ("60u", falling, 60),
        ("600u", falling, 600),
        ("60u", falling | {"updates": 900}, 900),
        ("2h", falling | {"updates": 900}, 900),
        ("4u", falling, 11),  # it never leaves the warm-up
    ):
        config = read(stop=stop, schedule=schedule)
        assert config.rates.updates == updates  # type: ignore[union-attr]
        assert config.schedule.updates == schedule.get("updates")  # type: ignore[union-attr]
        assert TrainConfig.model_validate_json(config.model_dump_json()) == config
    for stop in ("2h", "10e", "30Mt"):
        with pytest.raises(ValidationError, match=f"follows train.stop only where that counts updates.*is {stop}"):
            read(stop=stop, schedule=falling)


@pytest.mark.parametrize("name", ["linear", "constant", "noam", "inverse_sqrt"])
def test_a_rate_that_never_gets_to_its_height_is_told(name: str) -> None:
    rising = {"name": name, "rate": 1.0, "warmup": 60} | ({"width": 8} if name == "noam" else {})
    assert "the rate rises for 60 updates, and training stops after 30" in read(stop="30u", schedule=rising).idle()
    for stop in ("60u", "90u") if name == "linear" else ("60u", "90u", "2h"):
        assert not read(stop=stop, schedule=rising).idle(), stop


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_a_rate_of_nothing_before_the_end_is_told(name: str) -> None:
    falling = {"name": name, "rate": 1.0, "updates": 80}
    told = read(stop="120u", schedule=falling).idle()
    assert "the rate is 0 from update 80 to the end at 120" in told and "train.schedule.updates=120" in told
    for stop, changes in (("80u", {}), ("60u", {}), ("2h", {}), ("120u", {"updates": None}), ("120u", {"floor": 0.1})):
        assert not read(stop=stop, schedule=falling | changes).idle(), (stop, changes)
    assert not read(stop="120u").idle()
