"""Parquet, saved data sets and names at the hub: every reader of tables reads them, and each fault names its row."""

import io
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transept.data import columnar
from transept.data.classes import by_number, numbered
from transept.data.columnar import HubName, hub_path, read_columnar, spoken
from transept.data.config import PairsData, TextsData
from transept.data.config_senses import FilesData, LabelledData, TaggedData
from transept.data.config_tables import TablesData
from transept.data.documents import read_documents
from transept.data.labelled_texts import LabelledTexts, read_labelled_texts
from transept.data.listing import PICTURES, place_of, read_listing
from transept.data.pairs import read_pairs
from transept.data.prompted import read_prompted
from transept.data.questions import read_questions
from transept.data.tagged import read_tagged
from transept.errors import InvalidConfig, InvalidData
from unit.data.made_columnar import COMMIT, KINDS, at_home, write_cached, write_columnar

datasets = pytest.importorskip("datasets", reason="the library datasets is not installed")

TEXT, SIDES = datasets.Value("string"), ["bad", "good"]
Write = Callable[[dict[str, list[Any]], dict[str, Any]], str]


@pytest.fixture(params=KINDS)
def write(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a table, and gives what a recipe calls it."""
    at_home(monkeypatch, tmp_path / "cache")
    return lambda columns, features: write_columnar(request.param, tmp_path, columns, features)


def labelled(entry: str, said: list[str] | None = None, **data: object) -> LabelledTexts:
    told = LabelledData.model_validate({"train": entry, **data})
    return read_labelled_texts(place_of(told, "train"), told, (said if said is not None else []).append)


def test_texts_have_the_classes_that_the_table_names(write: Write) -> None:
    columns = {"idx": [7, 8, 9], "sentence": ["fine", "two\nlines", "grim"], "label": [1, 1, 0]}
    entry = write(
        columns, {"idx": datasets.Value("int64"), "sentence": TEXT, "label": datasets.ClassLabel(names=SIDES)}
    )
    said: list[str] = []
    found = labelled(entry, said, head=["sentence", "label"])
    assert (list(found.texts), found.said["label"]) == (columns["sentence"], ["good", "good", "bad"])
    assert found.classes == ("bad", "good") and found.others is None
    assert found.where(2) == f"{entry}: row 3"
    assert said[0].startswith(f"{entry}: 3 rows of ") and said[0].endswith(
        "(data.head has no say); the text is 'sentence', the label is 'label'; its classes are bad, good"
    )
    if entry.startswith("hub:"):
        assert f"the hub's commit {COMMIT[:12]} from the cache, which @{COMMIT[:12]} keeps to" in said[0]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"text": ["x", None], "label": [0, 1]}, ": row 2: 'text' is null, which is no text"),
        ({"text": ["x", " "], "label": [0, 1]}, ": row 2: the text is empty"),
        ({"text": ["x", "y"], "label": [0, None]}, ": row 2: 'label' is null, which is no text"),
        ({"txt": ["x", "y"], "label": [0, 1]}, ": no column is called text or sentence"),
        ({"text": ["x"], "label": [0], "seen": [["a", "b"]]}, ': row 1: \'seen\' is ["a", "b"], which is no text'),
    ],
)
def test_a_fault_is_told_with_its_row(write: Write, columns: dict[str, list[Any]], words: str) -> None:
    kinds = {"label": datasets.ClassLabel(names=SIDES), "seen": datasets.List(TEXT)}
    entry = write(columns, {name: kinds.get(name, TEXT) for name in columns})
    more = {"columns": {"text": "seen"}} if "seen" in columns else {}
    with pytest.raises(InvalidData) as told:
        labelled(entry, **more)
    assert str(told.value).startswith(f"{entry}{words}")
    with pytest.raises(InvalidData, match=r"there is no column 'lable'. Did you mean 'label'?") as told:
        labelled(entry, columns={"text": "label", "label": "lable"})
    assert told.value.where == entry


def test_a_class_that_nobody_tells_is_none(write: Write) -> None:
    """As the test splits of GLUE have it."""
    kinds = {"text": TEXT, "label": datasets.ClassLabel(names=SIDES)}
    found = labelled(write({"text": ["x", "y"], "label": [0, -1]}, kinds))
    assert found.said["label"] == ["bad", "-1"]
    for names in (("bad", "good"), ("no", "yes")):
        with pytest.raises(InvalidData, match=r": row 2: the label -1 is out of range: there are 2 classes"):
            numbered(counted(found, found.said["label"], names), names, found.where, "its classes")


def counted(found: LabelledTexts, labels: Sequence[str], names: Sequence[str], said: list[str] | None = None) -> Any:
    say = (said if said is not None else []).append
    return by_number(labels, names, found.classes, found.source, "data.classes", say)


def test_classes_of_other_names_go_by_number_and_that_is_said(write: Write) -> None:
    kinds = {"text": TEXT, "label": datasets.ClassLabel(names=["pos", "neg"])}
    entry = write({"text": ["x", "y"], "label": [0, 1]}, kinds)
    found, said = labelled(entry), list[str]()
    assert counted(found, ["pos", "neg"], ("negative", "positive"), said) == ["0", "1"]
    assert said == [f"{entry}: pos counts as negative, neg as positive"]
    assert counted(found, ["pos"], ("1", "0"), said) == ["0"]  # names that are numbers are those numbers
    assert said.pop() == f"{entry}: pos counts as 0, neg as 1"
    for names in (("pos", "yes"), ("neg", "pos")):  # by their names, in whatever order
        assert counted(found, ["pos", "neg"], names, said) == ["pos", "neg"]
    assert counted(found, ["neg"], ("Pos", "Neg"), said) == ["1"] and len(said) == 2
    with pytest.raises(InvalidData, match=r"class 0 is 'pos', which data\.classes has at 1: Neg, Pos") as caught:
        counted(found, ["pos"], ("Neg", "Pos"))
    assert str(caught.value.remedy).endswith("as the table does, so that each goes by its name: pos, neg.")
    assert str(caught.value).startswith(entry)


def test_tagged_sentences(write: Write) -> None:
    tags = datasets.List(datasets.ClassLabel(names=["O", "B-X"]))
    entry = write(
        {"tokens": [["a", "b"], ["c"]], "ner_tags": [[0, 1], [1]]}, {"tokens": datasets.List(TEXT), "ner_tags": tags}
    )
    data = TaggedData(train=entry)
    tagged = read_tagged(place_of(data, "train"), data, print)
    assert (tagged.words, tagged.tags) == ([["a", "b"], ["c"]], [["O", "B-X"], ["B-X"]])
    assert (tagged.classes, tagged.where(1)) == (("O", "B-X"), f"{entry}: row 2")
    assert tagged.select([1]).classes == tagged.classes


def test_pairs(write: Write) -> None:
    two = [{"en": "a", "de": "b"}, {"en": "c", "de": ""}]
    entry = write({"translation": two}, {"translation": datasets.Translation(languages=["en", "de"])})
    told: dict[str, Any] = {"train": entry, "source": "en", "target": "de"}
    found = read_pairs(PairsData(**told, empty="drop"), "train")
    assert (found.source, found.target, found.where(0)) == (["a"], ["b"], f"{entry}: row 1")
    with pytest.raises(InvalidData, match=r": row 2: the line is empty"):
        read_pairs(PairsData(**told), "train")
    with pytest.raises(InvalidData, match=r": row 1: no key 'fr'; the keys are 'de', 'en'|the keys are 'en', 'de'"):
        read_pairs(PairsData(train=entry, source="en", target="fr"), "train")


def test_questions(write: Write) -> None:
    answers = {"text": datasets.List(TEXT), "answer_start": datasets.List(datasets.Value("int32"))}
    entry = write(
        {
            "question": ["who?", "why?"],
            "context": ["it was Ann", "nobody knows"],
            "answers": [{"text": ["Ann"], "answer_start": [7]}, {"text": [], "answer_start": []}],
        },
        {"question": TEXT, "context": TEXT, "answers": answers},
    )
    said: list[str] = []
    found = read_questions(place_of(LabelledData(train=entry), "train"), said.append)
    assert [one.answers for one in found.rows] == [((7, "Ann"),), ()]
    assert found.where(1) == f"{entry}: row 2" and "2 questions" in said[0] and "1 without an answer" in said[0]


def test_running_text(write: Write) -> None:
    entry = write({"page": ["one text\n\nof two parts", "another", ""]}, {"page": TEXT})
    found = read_documents(TextsData(train=entry, column="page", empty="drop"), "train")
    assert found.texts == ["one text\n\nof two parts", "another"]
    assert (found.where(1), found.place(0, 12)) == (f"{entry}: row 2", f"{entry}: row 1")
    assert (found.blank, found.first_blank) == (1, f"{entry}: row 3")
    with pytest.raises(InvalidData, match=r": row 3: the document is empty"):
        read_documents(TextsData(train=entry, column="page"), "train")


def test_prompts(write: Write) -> None:
    entry = write(
        {"sentence": ["fine", "grim"], "label": [1, 0]}, {"sentence": TEXT, "label": datasets.ClassLabel(names=SIDES)}
    )
    table = {"train": entry, "head": ["sentence", "label"], "source": "say: {sentence}", "answer": "label"}

    said = list[str]()

    def right(choices: list[str]) -> list[int]:
        data = TablesData(tables={"toy": table | {"choices": choices}})  # type: ignore[dict-item]
        (found,) = read_prompted(data, "train", said.append)
        assert found.sources == ["say: fine", "say: grim"] and found.where(1) == f"{entry}: row 2"
        return np.asarray(found.right).tolist()

    assert right(["bad", "good"]) == [1, 0]
    assert right(["good", "bad"]) == [0, 1]  # by name
    assert right(["negative", "positive"]) == [1, 0]  # none is a name of the table: they count
    assert said == [f"{entry}: bad counts as negative, good as positive"]
    with pytest.raises(InvalidData, match=r"row 1: the label 'good' is none of data.tables.toy.choices"):
        right(["bad", "fine"])  # some are, so that a name that is not there is a fault


def test_pictures_lie_in_cells(write: Write) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    raw = []
    for shade in (0, 200):
        held = io.BytesIO()
        image.new("L", (4, 4), shade).save(held, "PNG")
        raw.append(held.getvalue())
    cells = [{"bytes": one, "path": None} for one in raw]
    entry = write(
        {"image": cells, "label": [1, 0]}, {"image": datasets.Image(), "label": datasets.ClassLabel(names=SIDES)}
    )
    data = FilesData(train=entry)
    found = read_listing(place_of(data, "train"), data, ["label"], PICTURES, print)
    assert [found.open(row).read() for row in (0, 1)] == raw
    assert (found.said["label"], found.classes, found.where(1)) == (["good", "bad"], ("bad", "good"), f"{entry}: row 2")
    changed = (
        write(
            {"image": cells[::-1], "label": [1, 0]},
            {"image": datasets.Image(), "label": datasets.ClassLabel(names=SIDES)},
        )
        if not entry.startswith("hub:")
        else None
    )
    if changed is not None:
        other = read_listing(place_of(data, "train"), data, ["label"], PICTURES, print)
        assert other.fingerprint != found.fingerprint


def test_what_cells_name_lies_beside_their_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the files of a CSV do: wherever a person stands, and each is there before anything begins."""
    from pyarrow import parquet

    (tmp_path / "set" / "own").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    files = [tmp_path / "set" / "own" / "a.png", tmp_path / "far.png"]
    for i, file in enumerate(files):
        file.write_bytes(bytes([i]))

    def read(*paths: str) -> Any:
        columns = {"image": [{"bytes": None, "path": path} for path in paths], "label": ["x", "y"]}
        kinds = datasets.Features({"image": datasets.Image(decode=False), "label": TEXT})
        made = datasets.Dataset.from_dict(columns, features=kinds)
        parquet.write_table(made.data.table, tmp_path / "set" / "t.parquet")  # their own looks for the files
        data = FilesData(train=str(tmp_path / "set" / "t.parquet"))
        return read_listing(place_of(data, "train"), data, ["label"], PICTURES, print)

    found = read("own/a.png", str(files[1]))
    assert [found.open(row).read() for row in (0, 1)] == [b"\0", b"\1"]
    before = found.fingerprint
    files[0].write_bytes(b"other")
    assert read("own/a.png", str(files[1])).fingerprint != before
    gone = rf"t\.parquet: row 2: there is no file {tmp_path}/set/own/b\.png"
    with pytest.raises(InvalidData, match=gone):
        read("own/a.png", "own/b.png")
    with pytest.raises(InvalidData, match=r"row 1: 'image' is .*which holds no file"):
        read("", "own/a.png")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hub:nyu-mll/glue", HubName("nyu-mll/glue")),
        ("hub:nyu-mll/glue/sst2", HubName("nyu-mll/glue", "sst2")),
        ("hub:o/n:validation", HubName("o/n", None, "validation")),
        ("hub:o/n/20220301.en:train[:10%]@v1.0", HubName("o/n", "20220301.en", "train[:10%]", "v1.0")),
        ("hub:o/n@refs/convert/parquet", HubName("o/n", None, None, "refs/convert/parquet")),
    ],
)
def test_a_name_at_the_hub(text: str, name: HubName) -> None:
    assert HubName.read(text) == name and str(name) == text
    assert HubName.read(str(hub_path(text, "data.valid"))).split == (name.split or "validation")
    assert spoken(hub_path(text, "data.valid")).startswith("hub:")


@pytest.mark.parametrize("text", ["hub:glue", "hub:a/b/c/d", "hub:a/b:", "hub:/b", "hub:a/b@", "hub:a b/c"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidConfig, match="is no name at the hub") as told:
        place_of(LabelledData(valid=text), "valid")
    assert (told.value.where, told.value.exit_code) == ("data.valid", 3)


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with owner/toy, of two splits."""
    datasets.disable_progress_bars()
    at_home(monkeypatch, tmp_path)
    made = datasets.Dataset.from_dict({"text": ["x", "y"], "label": ["a", "b"]})
    write_cached(tmp_path, {"train": made, "validation": made.select([1])})
    return tmp_path


def test_what_the_cache_has_and_has_not(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(labelled("hub:owner/toy").texts) == ["x", "y"]
    data = LabelledData(valid="hub:owner/toy")
    assert str(place_of(data, "valid")) == "hub:owner/toy:validation"
    assert list(read_labelled_texts(place_of(data, "valid"), data, print).texts) == ["y"]
    assert list(labelled("hub:owner/toy:train[1:]").texts) == ["y"]
    assert list(labelled(f"hub:owner/toy@{COMMIT[:7]}").texts) == ["x", "y"]
    for entry, words in (
        ("hub:owner/toy:trian", "there is no split 'trian'. Did you mean 'train'?"),
        ("hub:owner/toy@abc123", f"the cache has the commit {COMMIT[:12]}, and abc123 is asked for"),
        ("hub:owner/toy/small", "Couldn't find cache for owner/toy for config 'small'"),
        ("hub:owner/other", "the cache has no such data set, and TRANSEPT_OFFLINE forbids the network"),
    ):
        with pytest.raises(InvalidData) as told:
            labelled(entry)
        assert words in str(told.value) and told.value.exit_code == 3
        assert str(told.value.where).startswith("hub:owner/")
    # A folder of that name is not what is meant.
    monkeypatch.chdir(cached)
    (cached / "owner" / "toy").mkdir(parents=True)
    (cached / "owner" / "toy" / "train.csv").write_text("text,label\nmine,a\n")
    assert list(labelled("hub:owner/toy").texts) == ["x", "y"]


def test_what_the_hub_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets.Dataset.from_dict({"text": ["x"], "label": ["a"]}).to_parquet(tmp_path / "there" / "train.parquet")
    asked, real = [], datasets.load_dataset_builder

    def load(path: str, config: str | None, revision: str | None) -> Any:
        asked.append((path, config, revision))
        return real(str(tmp_path / "there"), cache_dir=str(tmp_path / "cache"))

    monkeypatch.setattr(datasets, "load_dataset_builder", load)
    assert list(labelled("hub:o/n/c@abc").texts) == ["x"]
    assert asked == [("hf://datasets/o/n", "c", "abc")]
    monkeypatch.setattr(datasets, "load_dataset_builder", lambda *_, **__: (_ for _ in ()).throw(OSError("no route")))
    monkeypatch.setattr(columnar, "offline", lambda *more: None)
    with pytest.raises(InvalidData, match=r"hub:o/n:train: cannot be had of the hub: no route"):
        labelled("hub:o/n")


def test_broken_files_and_folders(tmp_path: Path) -> None:
    whole = write_columnar(
        "parquet", tmp_path, {"text": ["x"] * 100, "label": ["a"] * 100}, {"text": TEXT, "label": TEXT}
    )
    (tmp_path / "half.parquet").write_bytes(Path(whole).read_bytes()[:200])
    with pytest.raises(InvalidData, match=r"half.parquet: not whole Parquet"):
        read_columnar(tmp_path / "half.parquet")
    (tmp_path / "text.parquet").write_text("text,label\n")
    with pytest.raises(InvalidData, match=r"text.parquet: not whole Parquet"):
        read_columnar(tmp_path / "text.parquet")
    one = datasets.Dataset.from_dict({"text": ["x"]})
    datasets.DatasetDict({"train": one, "test": one}).save_to_disk(tmp_path / "both")
    with pytest.raises(InvalidData, match=r"it holds several splits: test, train") as told:
        labelled(str(tmp_path / "both"))
    assert "both/test" in str(told.value.remedy)
    assert read_columnar(tmp_path / "both" / "test").names == ("text",)
    (tmp_path / "both" / "test" / "state.json").unlink()
    with pytest.raises(InvalidData, match=r"both/test: not a whole data set"):
        read_columnar(tmp_path / "both" / "test")


def test_a_table_in_several_files_is_one(tmp_path: Path) -> None:
    told = [{"text": ["x", "y"], "label": ["a", "b"]}, {"text": ["z"], "label": ["a"]}]
    for number, columns in enumerate(told):
        datasets.Dataset.from_dict(columns).to_parquet(tmp_path / f"train-{number:05}-of-00002.parquet")
    datasets.Dataset.from_dict(told[1]).to_parquet(tmp_path / "train-b-00000-of-00001.parquet")
    said: list[str] = []
    assert list(labelled(str(tmp_path / "train.parquet"), said).texts) == ["x", "y", "z"]
    assert "3 rows of Parquet in 2 files" in said[0]
    said = []
    assert list(labelled(str(tmp_path / "train-00001-of-00002.parquet"), said).texts) == ["z"]
    assert "one of 2 files of train.parquet" in said[0]
    (tmp_path / "train-00000-of-00002.parquet").unlink()
    with pytest.raises(InvalidData, match=r"train.parquet: 1 of its 2 files are there; missing, counted from 0: 0"):
        labelled(str(tmp_path / "train.parquet"))
    datasets.Dataset.from_dict({"other": [1]}).to_parquet(tmp_path / "train-00000-of-00002.parquet")
    with pytest.raises(InvalidData, match=r"train.parquet: its files have different columns"):
        labelled(str(tmp_path / "train.parquet"))


def write_parts(folder: Path, *names: str) -> str:
    for i, name in enumerate(names):
        datasets.Dataset.from_dict({"text": [f"text {i}"], "label": ["a"]}).to_parquet(folder / f"{name}.parquet")
    return str(folder / f"{names[0].partition('-')[0]}.parquet")


def test_parts_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    names = [f"q-{number}-of-12" for number in range(12)]
    assert labelled(write_parts(tmp_path, *names)).texts == [f"text {i}" for i in range(12)]
    names = [f"h-0000{number}-of-00002-8ff16b1d4ec2a0f1" for number in range(2)]
    said = list[str]()
    assert labelled(write_parts(tmp_path, *names), said).texts == ["text 0", "text 1"]
    assert "Parquet in 2 files" in said[0]


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("s-0-of-2", "s-00000-of-00002"), r"more than one copy: s-0-of-2.parquet and s-00000-of-00002.parquet"),
        (("s-0-of-2", "s-1-of-2", "s-2-of-3"), r"more than one copy: s-1-of-2.parquet and s-2-of-3.parquet"),
        (
            ("s-0-of-2-0123456789ab", "s-0-of-2-ba9876543210", "s-1-of-2-0123456789ab"),
            r"more than one copy: s-0-of-2-01",
        ),
        (("s-1-of-2", "s-2-of-2"), r"1 of its 2 files are there; missing, counted from 0: 0$"),
        (("s-3-of-12",), r"1 of its 12 files are there; missing, counted from 0: 0, 1, 2, 4, 5, 6, 7, 8, \.\.\.$"),
        (("s-0-of-2", "s-1-of-2", "s-2-of-2"), r"s-2-of-2.parquet is beyond its 2 files, counted from 0$"),
    ],
)
def test_parts_that_are_not_a_whole_are_refused(tmp_path: Path, names: tuple[str, ...], reason: str) -> None:
    entry = write_parts(tmp_path, *names)
    with pytest.raises(InvalidData, match="(?m)" + reason):
        labelled(entry)


def test_a_type_that_the_library_does_not_know_is_no_difference_of_files(tmp_path: Path) -> None:
    from pyarrow import parquet

    made = datasets.Dataset.from_dict({"text": ["x"], "label": ["a"]}).data.table
    told = made.schema.metadata[b"huggingface"].replace(b'"Value"', b'"Hologram"', 1)
    parquet.write_table(made.replace_schema_metadata({b"huggingface": told}), tmp_path / "new.parquet")
    with pytest.raises(InvalidData, match=r"new.parquet: its columns are .* does not know: .*Hologram") as caught:
        labelled(str(tmp_path / "new.parquet"))
    assert "pip install -U datasets" in str(caught.value.remedy)


@pytest.mark.parametrize("several", [False, True])
def test_a_class_beyond_the_names_is_told_with_its_row_and_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, several: bool
) -> None:
    from pyarrow import parquet

    kind, wrong = datasets.ClassLabel(names=["a", "b"]), datasets.Value("int64")
    numbers = [[n] for n in (0, 1, 2)] if several else [0, 1, 2]
    columns = {"text": ["x", "y", "z"], "label": numbers}
    kinds = [{"text": TEXT, "label": datasets.List(one) if several else one} for one in (kind, wrong)]
    right, made = (datasets.Features(one) for one in kinds)
    table = datasets.Dataset.from_dict(columns, features=made).data.table
    schema = right.arrow_schema
    parquet.write_table(table.replace_schema_metadata(schema.metadata), tmp_path / "t.parquet")
    monkeypatch.setattr(columnar, "CHUNK", 2)
    with pytest.raises(InvalidData, match=r"row 3: 'label' has the class 2, and there are 2, counted from 0"):
        list(read_columnar(tmp_path / "t.parquet").rows)


def test_types_beyond_text_are_told(tmp_path: Path) -> None:
    import datetime

    entry = write_columnar(
        "parquet", tmp_path, {"text": [datetime.date(2017, 6, 12)], "label": ["a"]},
        {"text": datasets.Value("date32"), "label": TEXT},
    )  # fmt: skip
    with pytest.raises(InvalidData, match=r"row 1: 'text' is \"2017-06-12\", which is no text"):
        labelled(entry)


def test_without_the_library_the_extra_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    code = (
        "import sys; sys.modules['datasets'] = None\n"
        "from pathlib import Path; from transept.data.columnar import read_columnar\n"
        f"read_columnar(Path({str(tmp_path / 'a.parquet')!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "are read by the library datasets" in done.stderr
    assert "pip install 'transept[datasets]'" in done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (["bad", "good"], ["good", "bad"], "0 is 'good', and 'bad' there"),
        (["bad", "good"], ["bad", "good", "odd"], "3 of them, and 2 there"),
        (["bad", "good"], None, "none of them, and 2 there"),
        (None, ["bad", "good"], "2 of them, and none there"),
    ],
)
@pytest.mark.parametrize("lists", [False, True])
def test_parts_whose_classes_have_other_names_are_refused(
    tmp_path: Path, first: list[str] | None, second: list[str] | None, words: str, lists: bool
) -> None:
    for number, names in enumerate((first, second)):
        kind = datasets.Value("int64") if names is None else datasets.ClassLabel(names=names)
        kinds = {"text": TEXT, "label": datasets.List(kind) if lists else kind}
        made = datasets.Dataset.from_dict(
            {"text": ["x"], "label": [[1]] if lists else [1]}, features=datasets.Features(kinds)
        )
        made.to_parquet(tmp_path / f"t-{number}-of-2.parquet")
    with pytest.raises(InvalidData) as told:
        read_columnar(tmp_path / "t.parquet")
    assert str(told.value).startswith(
        f"{tmp_path}/t-1-of-2.parquet: the classes of 'label' have other names than in t-0-of-2.parquet: {words}\n"
    )
    (row,) = read_columnar(tmp_path / "t-1-of-2.parquet").rows
    own = second[1] if second else 1
    assert row["label"] == ([own] if lists else own), "alone it has its own names"


def test_parts_whose_classes_have_the_same_names_are_one_table(tmp_path: Path) -> None:
    for number in range(2):
        kinds = datasets.Features({"text": TEXT, "label": datasets.ClassLabel(names=SIDES)})
        made = datasets.Dataset.from_dict({"text": ["x"], "label": [number]}, features=kinds)
        made.to_parquet(tmp_path / f"t-{number}-of-2.parquet")
    assert [row["label"] for row in read_columnar(tmp_path / "t.parquet").rows] == list(SIDES)
