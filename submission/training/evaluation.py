"""Held-out evaluation: how well a model predicts the answers of families that it was not trained on.

There is no test-time training, and each token is predicted from the true tokens before it.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from submission.arc.layouts import Layout
from submission.arc.prompts import Row, padded, row
from submission.model.forward import predictions
from submission.rng import generator
from submission.training import loop
from submission.training.corpus import Family
from submission.training.leakage import task_of

logger = logging.getLogger(__name__)

MAX_PAIRS = 5
"""Pairs of an evaluation row, the query included."""

MOST_FURTHER = 66
"""Families of each further source that are evaluated, at most: as many as there are public tasks held out."""

MOST_SHARE = 0.1
"""Share of a training's time that evaluations in its course take at most: on a slow machine one takes minutes."""


@dataclass(frozen=True)
class Evaluation:
    """The figures of an evaluation; all are 0 without rows."""

    loss: float
    """Mean loss of an answer's token, in nats."""
    token_accuracy: float
    """Per cent of the answers' tokens that are predicted."""
    whole_answers: int
    """Answers all of whose tokens are predicted."""
    rows: int
    """Rows that were evaluated, with one answer each."""


def evaluation_rows(held_out: Sequence[Family], limit: int, layout: Layout) -> list[Row]:
    """One row of each held-out family, always the same: up to MAX_PAIRS pairs, of which the last answer counts."""
    rows = []
    for family in held_out:
        rng = generator(0, "examination", family.name)
        pairs = [family.pairs[k] for k in rng.permutation(len(family.pairs))[:MAX_PAIRS]]
        rows.append(row(layout, pairs, limit, first_learned=len(pairs)))
    return rows


def by_source(held_out: Sequence[Family]) -> dict[str, list[Family]]:
    """Source -> held-out families: "" for the public tasks and RE-ARC, all of them; of further packs MOST_FURTHER.

    A further pack may have many draws of one rule: of each rule one comes first, then another one, in a fixed order.
    """
    found: dict[str, list[Family]] = {"": []}
    for family in held_out:
        found.setdefault(family.name.partition(":")[0] if ":" in family.name else "", []).append(family)
    for source, families in found.items():
        if source:
            turns: Counter[str] = Counter()
            keys: list[tuple[int, int]] = []
            for family in families:
                keys.append((turns[task_of(family.name)], len(keys)))
                turns[task_of(family.name)] += 1
            found[source] = [families[k] for _, k in sorted(keys)][:MOST_FURTHER]
    return found


@torch.no_grad()
def evaluate(model: nn.Module, rows: Sequence[Row], layout: Layout) -> Evaluation:
    """Predict the learned tokens of the rows.

    A model without 16-bit weights computes in float32, in whatever type it is trained, so that figures are comparable.
    """
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device.type
    dtype = torch.bfloat16 if _has_16_bits(model) else torch.float32
    loss, right, tokens, whole_answers = 0.0, 0, 0, 0
    for each in rows:
        with loop.computing(device, dtype):
            logits, targets = predictions(model, *(torch.from_numpy(part) for part in padded(layout, [each])))
        loss += F.cross_entropy(logits, targets, reduction="sum").item()
        hits = int((logits.argmax(-1) == targets).sum())
        right, tokens, whole_answers = right + hits, tokens + len(targets), whole_answers + (hits == len(targets))
    model.train(was_training)
    return Evaluation(loss / max(tokens, 1), 100 * right / max(tokens, 1), whole_answers, len(rows))


def _has_16_bits(model: nn.Module) -> bool:
    """Whether a weight is in 16 bits: those of a large base are, its norms at least, unless it computes in float32."""
    return any(weight.dtype in (torch.bfloat16, torch.float16) for weight in model.parameters())


def log_evaluation(result: Evaluation, source: str = "") -> None:
    """Write the figures to the log, in one line."""
    logger.info(
        "held out%s: loss %.3f, %.1f %% of the answers' tokens, %d of %d whole answers",
        source and f" of {source}", result.loss, result.token_accuracy, result.whole_answers, result.rows,
    )  # fmt: skip


class Evaluations:
    """The held-out evaluations of one training, each with its line in the log."""

    def __init__(self, model: nn.Module, held_out: Sequence[Family], limit: int, layout: Layout) -> None:
        """`limit` is the most tokens of a row."""
        self.model, self.layout = model, layout
        rows = {source: evaluation_rows(of_it, limit, layout) for source, of_it in by_source(held_out).items()}
        self.rows = rows.pop("")
        self.further_rows = rows
        self.further: dict[str, Evaluation] = {}
        """Source -> its last evaluation, for further packs."""
        self.ended, self.took = -math.inf, 0.0

    def now(self) -> Evaluation:
        """Evaluate; returns the figures of the public tasks and RE-ARC. TrainingFailed where the loss is not finite."""
        began = time.monotonic()
        result = evaluate(self.model, self.rows, self.layout)
        self.further = {source: evaluate(self.model, rows, self.layout) for source, rows in self.further_rows.items()}
        self.ended = time.monotonic()
        self.took = self.ended - began
        log_evaluation(result)
        for source, figures in self.further.items():
            log_evaluation(figures, source)
        loop.require_finite_evaluation(result.loss)
        return result

    def where_due(self) -> None:
        """Evaluate as `now` does, unless that would take more than MOST_SHARE of the time since the last one."""
        if self.took <= MOST_SHARE * (time.monotonic() - self.ended):
            self.now()
