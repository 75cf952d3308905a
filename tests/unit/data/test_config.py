import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from transept.data.config import PairsData, Vocabulary


def test_importing_the_description_imports_no_torch():
    code = "import sys, transept.data.config; sys.exit('torch' in sys.modules or 'tokenizers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_folders_may_be_written_as_text():
    data = PairsData.model_validate({"dir": "somewhere", "cache": "there", "vocabulary": {"merges": 5}})
    assert (data.dir, data.cache, data.vocabulary.merges) == (Path("somewhere"), Path("there"), 5)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"sorce": "en"}, "sorce"),
        ({"train": ["a", "b", "c"]}, "two files are needed"),
        ({"train": ""}, "empty"),
        ({"max_length": 0}, "max_length"),
        ({"max_length": "128"}, "max_length"),
        ({"max_ratio": 0.5}, "max_ratio"),
        ({"vocabulary": {"kind": "words"}}, "kind"),
        ({"vocabulary": {"merges": -1}}, "merges"),
        ({"vocabulary": {"special": ["2de"]}}, "must look like <2de>"),
        ({"vocabulary": {"special": ["<2 de>"]}}, "must look like <2de>"),
        ({"vocabulary": {"special": ["<a>", "<a>"]}}, "twice"),
        ({"vocabulary": {"special": ["<eos>"]}}, "has a meaning already"),
        ({"vocabulary": {"kind": "characters", "digits": "split"}}, "digits: split is for kind: bytes"),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, object], words: str):
    with pytest.raises(ValidationError, match=words):
        PairsData.model_validate(values)


def test_descriptions_do_not_change():
    with pytest.raises(ValidationError):
        Vocabulary().merges = 3  # type: ignore[misc]
