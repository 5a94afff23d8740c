"""The examples of each command, which its --help ends with."""

from __future__ import annotations

import argparse
from typing import Any

EXAMPLES = {
    "run": """\
python -m submission run                                             # 24 public tasks, the embedded model
python -m submission run --data arc2-eval --tasks 40 --minutes 30    # other tasks, limited by the clock
python -m submission run --tasks 400 --workers 4                     # four worker processes
python -m submission run --tasks 400 --solvers programs              # the search for programs alone
python -m submission run --only 66e6c45b,be03b35f --out runs/two     # these tasks
python -m submission run --only 66e6c45b,be03b35f --out runs/two --resume
python -m submission run --tasks 8 --set search.exhaustive=True --out runs/exhaustive
python -m submission run --set model.dtype=float32                   # not what a measurement finds faster
python -m submission run --model DIR --preset poe-l4x4 --hours 11.5 --challenges FILE
python -m submission run --challenges ARC-AGI/data/evaluation --skip-bad   # a folder with one JSON file per task
python -m submission run --ray auto --tasks 400 --data arc1-train    # over a Ray cluster: pip install -e '.[ray]'
python -m submission run --set programs.writer=DIR --set programs.seconds=600   # DIR: a model that writes programs""",
    "score": """\
python -m submission score runs/exhaustive --revote kgmon            # what another voting rule would have scored
python -m submission score runs/exhaustive --revote network          # what one kind of solver would have scored
python -m submission score runs/two --per-task                       # a line for each task
python -m submission score submission.json --challenges FILE --solutions FILE
python -m submission score submission.json --data arc2-eval --only 0934a4d8,136b0064""",
    "report": "python -m submission report runs/two",
    "check": """\
python -m submission check --model DIR --preset poe-l4x4
python -m submission check --gpu --out report.json                   # a first minute on a card""",
    "shrink": "python -m submission shrink --model DIR --layout architects --out SMALL --nf4",
    "settings": """\
python -m submission settings search --preset poe-l4x4               # a section; a star: not the default
python -m submission settings adapt.rate vote""",
    "bench": """\
python -m submission bench ttt --tasks 10 --try adapt.rate=0.006     # compare settings on held-out tasks
python -m submission bench scaling --tasks 60 --minutes 5,10,20      # solved tasks against time, by schedule
python -m submission bench search --tasks 10                         # this search against the field's
python -m submission bench training --tasks 2                        # this training against transformers' Trainer
python -m submission bench walk --tasks 2                            # this search against a plain depth-first walk
python -m submission bench search --shape 8b --set model.device=cuda --set search.megabytes=12000
python -m submission bench plan --preset poe-l4x4 --challenges FILE --hours 11.5
python -m submission bench plan --preset poe-l4x4 --data arc2-eval --card t4,l4,h100,h200 --workers 1
python -m submission bench synthesis --only 67a3c6ac                 # the programs of a training task
python -m submission bench network --seeds 2 --try adapt.batch=2,training_rows.copies=12   # at equal time
python -m submission bench ablation --tasks 60 --seeds 3 --chart ablation.svg   # what each part is worth; hours""",
    "pretrain": """\
python -m submission pretrain --minutes 90 --rearc re_arc.zip --out trained              # leaves trained/model
python -m submission pretrain --minutes 90 --rearc re_arc.zip --out trained --resume
python -m submission pretrain --minutes 90 --rearc re_arc.zip --families more.npz --out trained --resume
python -m submission pretrain --base DIR --minutes 600 --limit 4096 --rearc re_arc.zip --out tuned --device cuda""",
}
"""Command -> its examples."""


def examples_of(command: str) -> dict[str, Any]:
    """The part of a parser that shows a command's examples below its options, line by line."""
    return {"epilog": f"examples:\n{EXAMPLES[command]}", "formatter_class": argparse.RawDescriptionHelpFormatter}
