"""Settings of the search in the help of the commands that take them, and how a setting with dashes is refused."""

import pytest
from typer.testing import CliRunner

from transept.cli.main import app
from transept.decode.config import Search


def run(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("verb", ["translate", "summarize", "generate", "caption", "eval"])
def test_every_setting_is_in_the_help(verb: str) -> None:
    code, out, _ = run(verb, "--help")
    assert code == 0
    listed, _, _ = out.partition("Settings")[2].partition("Examples:")
    for name, field in Search.model_fields.items():
        default = "null" if field.default is None else field.default
        assert f"  {name}={default}" in listed
    assert "first, bound, exact;" in listed
    assert "Settings" not in run("classify", "--help")[1]


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--temperature", "written without dashes: temperature=VALUE"),
        ("--temprature", "written without dashes: temperature=VALUE"),
        ("--max-ratio", "written without dashes: max_ratio=VALUE"),
        ("--num-beams", "It is called beam."),
        ("--max_new_tokens", "It is called max_tokens (--max-tokens) for generate"),
    ],
)
def test_a_setting_with_dashes_is_told_how_it_is_written(option: str, told: str) -> None:
    code, _, said = run("generate", "somewhere", "a", option, "3")
    assert code == 2
    assert told in said
    code, _, said = run("generate", "somewhere", "a", "--zebra", "3")
    assert (code, "without dashes" in said) == (2, False)


def test_a_model_that_is_not_there_is_told_by_every_verb(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    for verb in ("translate", "classify", "tag", "fill", "embed", "see", "transcribe", "eval", "show"):
        for name in ("nowhere/at/all", str(tmp_path / "nowhere")):
            code, out, said = run(verb, name)
            assert (code, out) == (3, ""), (verb, said)
            assert "there is no such directory" in said
            assert "class" not in said.replace("classify", "")


def test_a_directory_of_a_name_like_it_is_named(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "somewhere").mkdir()
    for typed in ("somewhare", tmp_path / "somewhare"):
        code, _, said = run("translate", str(typed), "a text")
        assert code == 3
        assert "Did you mean 'somewhere'?" in " ".join(said.split())
