"""Files that hold ARC tasks in a shape that is not read: one sentence names it, and two lines convert it.

The lines are for a shell: the first makes `tasks.json` or the folder `tasks`, the second runs on that.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from submission.errors import BadInput
from submission.input_files import json_kind

ID_KEYS = ("id", "task_id", "name", "uuid", "key")
"""The keys under which collections keep a task's id."""

BODY_KEYS = ("data", "task", "body")
"""The keys under which collections keep a task's 'train' and 'test'."""

RUN = "python -m submission run --challenges "
"""The second line, before the name of what the first one made."""

TO_LINES = "import pandas, sys; pandas.read_parquet(sys.argv[1]).to_json('tasks.jsonl', orient='records', lines=True)"
UNPICKLED = "import json, pickle, sys; print(json.dumps(pickle.load(sys.stdin.buffer)))"
LISTED = "import numpy, sys; print({name: each.shape for name, each in numpy.load(sys.argv[1]).items()})"

KINDS: tuple[tuple[tuple[bytes, ...], str, tuple[str, ...]], ...] = (
    ((b"PK\x05\x06",), "an empty zip archive", ()),
    ((b"PK\x03\x04",), "a zip archive", ("unzip FILE -d tasks", f"{RUN}tasks")),
    ((b"7z\xbc\xaf",), "a 7z archive", ("7z x FILE -otasks", f"{RUN}tasks")),
    ((b"\xfd7zXZ",), "a file compressed by xz", ("xz -dc FILE > tasks.json", f"{RUN}tasks.json")),
    ((b"BZh",), "a file compressed by bzip2", ("bzip2 -dc FILE > tasks.json", f"{RUN}tasks.json")),
    ((b"(\xb5/\xfd",), "a file compressed by zstd", ("zstd -dc FILE > tasks.json", f"{RUN}tasks.json")),
    ((b"PAR1",), "a Parquet table", (f'python -c "{TO_LINES}" FILE', f"{RUN}tasks.jsonl   # names the next step")),
    (
        (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"), "a pickle",
        (f'python -c "{UNPICKLED}" < FILE > tasks.json   # a pickle can run any program', f"{RUN}tasks.json"),
    ),
    ((b"\x93NUMPY",), "one array of numpy, without the pairs of tasks", ()),
    ((b"version https://git-lfs",), "a Git LFS pointer", ("git lfs pull", f"{RUN}FILE")),
    ((b"\x89PNG", b"\xff\xd8\xff"), "an image", ()),
)  # fmt: skip
"""(first bytes, the kind of file that they tell, the lines that convert it); FILE stands for its path."""


def require_no_other_kind(path: Path, head: bytes) -> None:
    """BadInput for a file that its first bytes tell to be something else than JSON."""
    if head.startswith(b"PK\x03\x04") and b".npy" in head[:200]:
        shape = '{id: {"train": [{"input": rows, "output": rows}, ...], "test": [{"input": rows}, ...]}}'
        lines = (f'python -c "{LISTED}" FILE   # its arrays', f"# then write {shape} with rows = array.tolist()")
        raise _refused(path, "an archive of numpy arrays (.npz)", lines)
    if head[257:262] == b"ustar":
        raise _refused(path, "a tar archive", ("mkdir tasks && tar -xf FILE -C tasks", f"{RUN}tasks"))
    for beginnings, kind, conversion in KINDS:
        if head.startswith(beginnings):
            raise _refused(path, kind, conversion)


def require_no_other_text(path: Path, content: bytes) -> None:
    """BadInput for text that is not one JSON value, but JSON lines, a table or a page."""
    begin = content[: 1 << 20].decode("utf-8", "replace").lstrip("\ufeff \r\n\t")
    if begin.startswith("<"):
        raise _refused(path, "a page of HTML or XML", ())
    try:
        row, end = json.JSONDecoder().raw_decode(begin)
    except (ValueError, RecursionError):
        header = begin.partition("\n")[0].strip()
        if header and header[0] not in '{["' and "," in header and "\n" in begin:
            name, body = (_literal(column.strip()) for column in header.split(",")[:2])
            made = f"{{row[{name}]: json.loads(row[{body}]) for row in csv.DictReader(sys.stdin)}}"
            raise _refused(path, "a CSV table", _converted(made, "csv, json, sys")) from None
        return
    following = begin[end:].lstrip()
    on_next_line = "\n" in begin[end : len(begin) - len(following)]
    # Text right behind a whole object is damage, not a second line.
    if isinstance(row, dict | list) and on_next_line and following[:1] in ("{", "["):
        made = f"{{{_entry(row)} for k, t in enumerate(map(json.loads, sys.stdin))}}"
        raise _refused(path, "JSON lines", _converted(made))


def require_tasks(path: Path, content: object) -> dict[str, Any]:
    """The content of a JSON file if it can be one task or an object of tasks; else BadInput, which names the shape."""
    if isinstance(content, list):
        _refuse_list(path, content)
    if not isinstance(content, dict):
        raise BadInput(f"{path.name}: expected an object of tasks, found {json_kind(content)}")
    if not is_one_task(content):
        _refuse_object(path, content)
    elif beside := [name for name, each in content.items() if _is_task(each)]:
        raise BadInput(
            f"{path.name}: is one task with 'train' and 'test', and holds {len(beside)} more tasks, the first "
            f"{beside[0][:40]!r}: put each task into an object {{id: task}}, or into a file of its own"
        )
    return content


def is_one_task(content: Mapping[str, object]) -> bool:
    """Whether an object is one task, not an object of tasks: its 'train' or its 'test' is a list."""
    return isinstance(content.get("train"), list) or isinstance(content.get("test"), list)


def _is_task(value: object) -> bool:
    return isinstance(value, dict) and is_one_task(value)


PAIRS = "(lambda pairs: {'train': pairs[:-1], 'test': pairs[-1:]})"
"""A program's part that makes a task of pairs, the last of them its test."""


def _refuse_list(path: Path, content: list[object]) -> None:
    first = content[0] if content else None
    if not isinstance(first, dict):
        return
    if "input" in first and "output" in first:
        shape = "a list of pairs, as RE-ARC writes them (pretrain takes RE-ARC by --rearc)"
        raise _refused(path, shape, _converted(f"{PAIRS}(json.load(sys.stdin))"))
    if is_one_task(first) or any(key in first for key in BODY_KEYS):
        shape = f"a list of tasks with the keys {', '.join(_literal(key) for key in list(first)[:4])}"
        raise _refused(path, shape, _converted(f"{{{_entry(first)} for k, t in enumerate(json.load(sys.stdin))}}"))


def _refuse_object(path: Path, content: Mapping[str, object]) -> None:
    """BadInput for an object of lists, and for one that has the tasks in a single key."""
    values = list(content.values())
    inner = values[0] if values else None
    lists = [each for each in values if isinstance(each, list)]
    if lists and len(lists) == len(values):
        entry = next((each[0] for each in lists if each), None)
        if isinstance(entry, dict) and "attempt_1" in entry:
            raise _refused(path, "a submission", ("python -m submission score FILE --challenges C --solutions S",))
        if isinstance(entry, dict) and "input" in entry:
            made = f"{{name: {PAIRS}(each) for name, each in json.load(sys.stdin).items()}}"
            raise _refused(path, "an object of lists of pairs without test inputs", _converted(made))
        if isinstance(entry, list):
            raise _refused(path, "a file of solutions", (f"{RUN}CHALLENGES --solutions FILE",))
    if len(values) == 1 and isinstance(inner, dict) and inner and all(map(_is_task, inner.values())):
        made = f"json.load(sys.stdin)[{_literal(next(iter(content)))}]"
        raise _refused(path, "an object that holds the tasks in one key", _converted(made))


def _entry(row: object) -> str:
    """`id: task` for the row `t` of number `k`, as the keys of one row tell it."""
    if not isinstance(row, dict):
        return "str(k): t"
    name = next((f"str(t[{_literal(key)}])" for key in ID_KEYS if key in row), "str(k)")
    body = next((key for key in BODY_KEYS if key in row), None)
    if body is None or is_one_task(row):
        return f"{name}: t"
    read = f"t[{_literal(body)}]"
    return f"{name}: {f'json.loads({read})' if isinstance(row[body], str) else read}"


def _literal(key: str) -> str:
    """A key as a literal that stands within a double-quoted word of a shell; KEY for one that cannot."""
    return f"'{key}'" if key.isprintable() and not set(key) & set("'\"\\$`!") and len(key) <= 40 else "'KEY'"


def _converted(expression: str, modules: str = "json, sys") -> tuple[str, str]:
    return f'python -c "import {modules}; print(json.dumps({expression}))" < FILE > tasks.json', f"{RUN}tasks.json"


def _refused(path: Path, shape: str, lines: tuple[str, ...]) -> BadInput:
    if not lines:
        return BadInput(f"{path.name}: is {shape}, not a file of tasks")
    name = shlex.quote(str(path))
    if path.suffix == ".gz":
        lines = tuple(line.replace("python -c", "gzip -dc FILE | python -c").replace(" < FILE", "") for line in lines)
    told = f"{path.name}: is {shape}, not a file of tasks; to convert it:"
    return BadInput("\n  ".join([told, *(line.replace("FILE", name) for line in lines)]))
