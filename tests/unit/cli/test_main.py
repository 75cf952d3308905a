"""The command line as a whole: what its help loads, what its exit codes say."""

import json
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

import transept
from transept.cli import main as command
from transept.cli.common import guarded, verb
from transept.errors import Interrupted, InvalidData, OutOfMemory, UsageError, is_out_of_memory

USING = (
    "translate",
    "summarize",
    "generate",
    "answer",
    "fill",
    "classify",
    "tag",
    "embed",
    "see",
    "hear",
    "caption",
    "transcribe",
)
VERBS = (
    "demo",
    "train",
    "check",
    "recipes",
    *USING,
    "eval",
    "show",
    "average",
    "import",
    "export",
    "convert",
    "doctor",
)
HEAVY = {"torch", "transformers", "numpy", "tokenizers", "sacrebleu", "babel", "matplotlib"}

# Every help in one fresh interpreter: starting one for each would only show the same thing so many times.
HELPS = """
import sys
from typer.testing import CliRunner
from transept.cli.main import app
runner = CliRunner()
for words in {words!r}:
    result = runner.invoke(app, words)
    assert result.exit_code == (0 if words else 2), (words, result.output)
    assert "Examples:" in result.output or words == ["recipes", "--help"], (words, result.output)
print(*sorted({heavy!r} & set(sys.modules)))
"""


def run(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(command.app, list(words))
    return result.exit_code, result.stdout, result.stderr


def test_no_help_loads_anything_heavy():
    words = [[], ["--help"], ["-h"], *([verb, "--help"] for verb in VERBS)]
    code = HELPS.format(words=words, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_the_bare_command_prints_help_and_three_examples_and_ends_with_2():
    code, out, _ = run()
    assert code == 2
    assert all(f"  {verb} " in out for verb in VERBS)
    examples = out[out.index("Examples:") :].splitlines()[1:]
    assert len([line for line in examples if line.strip().startswith("transept ")]) == 3


def test_every_verb_of_a_model_is_a_method_and_shows_three_examples():
    from transept.use.kinds import NEEDS
    from transept.use.loaded import Loaded

    assert set(USING) == set(NEEDS)
    for word in USING:
        assert callable(getattr(Loaded, word))
        examples = run(word, "--help")[1].partition("Examples:")[2].strip().splitlines()
        assert len(examples) == 3
        assert all(f"transept {word} " in line for line in examples)


def test_no_verb_is_cut_short_in_the_list():
    assert "..." not in run("--help")[1].partition("Commands:")[2].partition("Examples:")[0]


def test_the_version_is_the_packages():
    assert run("--version")[:2] == (0, f"transept {transept.__version__}\n")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("trian",), "Did you mean 'train'"),
        (("train", "pairs", "--ressume"), "--ress"),
        (("train",), "RECIPE"),
        (("export", "a", "b", "--to", "hff"), "hff"),
        (("train", "transformer-tiny"), "Did you mean 'transformer-tiny-multi30k'"),
        (("train", "pairs", "train.seed"), "KEY=VALUE"),
        (("train", "pairs", "--resume", "--overwrite"), "Leave one of them out"),
        (("recipes", "show", "parse"), "Did you mean 'pairs'"),
        (("show", "transformer:tiny", "norm=["), "norm=[: the value is not YAML"),
        (("demo", "data.dir=mine"), "data.dir=mine would not be read"),
        (("show",), "nothing to show"),
        (("show", "transformr"), "Did you mean 'transformer'"),
        (("fill", "m", "a [MASK]", "-f", "b.txt"), "texts and --file were both given"),
        (("generate", "m", "a", "--whole"), "--whole takes a file or stdin as one text"),
        (("generate", "m", "a", "--stream", "--json"), "Leave out --json"),
        (("answer", "m", "q", "--context", "c", "--context-file", "d"), "--context and --context-file were both given"),
        (("embed", "m", "a", "--out", "."), "this is there already"),
        (("classify", "m", "a", "--top", "0"), "--top"),
    ],
)
def test_what_does_not_fit_together_ends_with_2(words, part):
    code, _, err = run(*words)
    assert code == 2, err
    assert part in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("show", "transformer:bas"), "Did you mean 'base'"),
        (("show", "transformer:tiny", "nrm=before"), "Did you mean 'norm'"),
        (("show", "transformer:tiny", "heads=3"), "heads=3 does not divide width=128"),
        (("show", "--pattern", "causal & windw(2)"), "Did you mean 'window'"),
        (("train", "pairs", "train.wramup=3"), "train.wramup"),
        (("translate", "no/such/model", "a"), "no/such/model"),
    ],
)
def test_wrong_data_and_configurations_end_with_3(words, part):
    code, _, err = run(*words)
    assert code == 3, err
    assert part in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("error", "code", "part"),
    [
        (UsageError("no"), 2, "error: no"),
        (InvalidData("bad", where="a.txt:3", remedy="Mend it."), 3, "error: a.txt:3: bad\n  Mend it."),
        (OutOfMemory("too large"), 4, "too large"),
        (MemoryError("Unable to allocate 9 GiB"), 4, "out of memory: Unable to allocate 9 GiB"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 4, "train.batch_tokens"),
        (Interrupted("stopped", remedy="Go on."), 130, "stopped\n  Go on."),
        (KeyboardInterrupt(), 130, "interrupted"),
        (RuntimeError("odd\nsecond line"), 1, "RuntimeError: odd\n  This is a fault of the program; --debug"),
    ],
)
def test_every_failure_has_its_code_and_no_traceback(error, code, part):
    app = typer.Typer(rich_markup_mode=None)
    app.callback()(lambda: None)

    def fail() -> None:
        raise error

    verb(app, "fail")(fail)
    result = CliRunner().invoke(app, ["fail"])
    assert result.exit_code == code
    assert part in result.stderr
    assert "second line" not in result.stderr
    shown = CliRunner().invoke(app, ["fail", "--debug"])
    assert shown.exception is error or code == 130


def test_out_of_memory_is_known_by_its_words():
    assert is_out_of_memory(type("OutOfMemoryError", (RuntimeError,), {})("CUDA"))
    assert not is_out_of_memory(RuntimeError("shapes do not fit"))


def test_a_reader_that_leaves_is_no_failure():
    code = (
        "import sys; from transept.cli.common import guarded\n"
        "with guarded(False):\n    for number in range(100_000): print(number)\n"
    )
    reader = f"{sys.executable} -c '{code}' | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", reader], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["0", "0"]
    assert done.stderr == ""


def test_guarding_changes_nothing_where_nothing_fails(capsys):
    with guarded(debug=False):
        print("fine")
    assert capsys.readouterr().out == "fine\n"


def test_doctor_is_one_object_or_lines():
    code, out, _ = run("doctor", "--json")
    told = json.loads(out)
    assert code == 0
    assert {"transept", "torch", "device", "offline", "disk", "formats", "threads"} <= set(told)
    assert all(f"{name} " in run("doctor")[1] for name in told)


def test_showing_a_family_counts_its_parameters():
    code, out, _ = run("show", "transformer:base", "vocab=37000")
    assert code == 0
    assert "63,082,496 parameters" in out  # 65 M in the paper, whose table 3 rounds and counts a larger vocabulary
    rows = [json.loads(line) for line in run("show", "transformer:base", "vocab=37000", "--json")[1].splitlines()]
    assert sum(row["parameters"] for row in rows) == 63_082_496


def test_a_family_is_set_as_in_a_recipe():
    code, _, err = run("show", "transformer:tiny", "dropout=1e-1", "--json")
    assert code == 0, err


def test_showing_a_pattern_draws_it():
    code, out, _ = run("show", "--pattern", "causal & window(1)")
    assert code == 0
    assert "  ■ · · ·" in out
    assert "  ■ ■ · ·" in out
    assert "  · ■ ■ ·" in out


def test_an_export_says_where_their_search_differs(tmp_path):
    from transept.decode.config import Search
    from transept.families.transformer import declare
    from transept.hub.directory import save

    model = declare(vocab=12, width=8, hidden=8, heads=2, depth=1).build()
    for name, search in (("wu", Search(penalty="wu")), ("same", Search(max_ratio=0.0))):
        save(tmp_path / name, model, generation=search)
        code, _, told = run("export", str(tmp_path / name), str(tmp_path / f"{name}-hf"))
        assert code == 0, told
        assert ("Wu penalty" in told) == (name == "wu")
        card = (tmp_path / name / "README.md").read_text()
        assert ("no Wu penalty" in card) == (name == "wu")
        assert ("takes the search" in card) == (name == "same")


def test_a_recipe_that_is_named_as_a_command_is_told_how_to_show():
    code, _, err = run("recipes", "sst2")
    assert code == 2
    assert "transept recipes show sst2" in err
    assert "transept recipes show" not in run("recipes", "nothing")[2]


def test_recipes_are_listed_shown_and_copied(tmp_path):
    code, out, _ = run("recipes")
    assert code == 0
    assert run("recipes", "list")[1] == out
    names = [line.split()[0] for line in out.splitlines()]
    assert {"pairs", "dates", "transformer-base"} <= set(names)
    assert [json.loads(line)["recipe"] for line in run("recipes", "list", "--json")[1].splitlines()] == names
    file = tmp_path / "mine.yaml"
    assert run("recipes", "copy", "pairs", str(file))[0] == 0
    assert file.read_text() == run("recipes", "show", "pairs")[1]
    code, _, err = run("recipes", "copy", "pairs", str(file))
    assert code == 2
    assert "exists already" in err
