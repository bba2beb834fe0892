"""The examples of our texts, run as they stand."""

import re
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parent.parent


def run_example(text: str, name: str) -> dict[str, Any]:
    """Run the one block that defines ``name``; return what it has defined.

    Args:
        text: the path of the text in the repository.
    """
    written = ROOT.joinpath(text).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.+?)^```$", written, re.DOTALL | re.MULTILINE)
    pattern = rf"^((def|class) {name}\b|{name} = )"
    (block,) = (each for each in blocks if re.search(pattern, each, re.MULTILINE))
    namespace: dict[str, Any] = {"__name__": "myproject.example"}
    exec(compile(block, text, "exec"), namespace)  # noqa: S102 - ours
    return namespace
