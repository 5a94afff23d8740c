"""The figures of `bench ablation` as tables and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from submission.benchmarks.ablation import BASELINE, CONDITIONS
from submission.benchmarks.figure_records import FigureRecord
from submission.benchmarks.network_figures import ORACLE, VANILLA
from submission.benchmarks.statistics import Value, differences, grouped_mean, keyed, mean_over, paired, shown

SHOWN = (VANILLA, "flat", "hierarchical", "poe", ORACLE)
"""The rules in table and picture."""

RULE = "poe"
"""The rule by which conditions are compared."""


def table(records: Sequence[FigureRecord]) -> list[str]:
    """The lines of two Markdown tables: shares of solved tasks by condition and rule; and differences in pairs."""
    seeds = sorted({each.seed for each in records})
    tasks, rules = {each.task for each in records}, {each.rule for each in records}
    lines = [
        f"{len(tasks)} tasks of {len(rules)} rules, seeds {', '.join(map(str, seeds))}; per cent of tasks solved, ± "
        "one standard error over rules",
        "",
        "| training | " + " | ".join(SHOWN) + " | -log p of the truth | views that find it | steps | seconds a task |",
        "|---" * (len(SHOWN) + 5) + "|",
    ]
    for name, condition in CONDITIONS.items():
        own = [each for each in records if each.variant == name]
        if not own:
            continue
        solved = [shown(grouped_mean(own, solved_by(rule)), 100) for rule in SHOWN]
        nats, likely = (
            grouped_mean(own, lambda each: each.figures.nats),
            grouped_mean(own, lambda each: each.figures.likely),
        )
        steps, seconds = (sum(getattr(each.figures, what) for each in own) / len(own) for what in ("steps", "seconds"))
        lines.append(
            f"| {condition.label} | {' | '.join(solved)} | {shown(nats, 1)} | {shown(likely, 100)} | {steps:.0f} "
            f"| {seconds:.1f} |"
        )
    return [*lines, "", *paired_table(records)]


def paired_table(records: Sequence[FigureRecord]) -> list[str]:
    """Each condition against the baseline, and each rule against the product of experts: same tasks, same seeds."""
    solved, nats, against = solved_by(RULE), _nats, CONDITIONS[BASELINE].label
    lines = ["| difference, same tasks and seeds | solved (points) | -log p of the truth |", "|---|---|---|"]
    base = [each for each in records if each.variant == BASELINE]
    for name, condition in CONDITIONS.items():
        own = [each for each in records if each.variant == name]
        if own and name != BASELINE:
            lines.append(
                f"| {condition.label}, against {against} | {shown(paired(own, base, solved), 100, '+')} "
                f"| {shown(paired(own, base, nats), 1, '+')} |"
            )
    for rule in SHOWN if base else ():
        if rule != RULE:
            by_rule = mean_over(differences(keyed(base, solved_by(rule)), keyed(base, solved)))
            lines.append(f"| {rule} against {RULE}, {against} | {shown(by_rule, 100, '+')} | |")
    return lines


def solved_by(rule: str) -> Value:
    """1 where the rule solves the task."""
    return lambda each: float(rule in each.figures.solved)


def _nats(each: FigureRecord) -> float:
    return each.figures.nats


def write_chart(records: Sequence[FigureRecord], path: Path) -> None:
    """Draw the shares of solved tasks, with standard errors, as an SVG; needs matplotlib."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "ablation", "font.size": 9})
    from matplotlib import pyplot

    named = {name: each for name, each in CONDITIONS.items() if any(record.variant == name for record in records)}
    figure, axes = pyplot.subplots(figsize=(8, 0.6 + 0.75 * len(named)), layout="constrained")
    height = 0.8 / len(SHOWN)
    for k, rule in enumerate(SHOWN):
        means = [grouped_mean([each for each in records if each.variant == name], solved_by(rule)) for name in named]
        axes.barh(
            [row + k * height for row in range(len(named))], [100 * each.value for each in means], height,
            xerr=[100 * each.error for each in means], label=rule, error_kw={"linewidth": 0.8},
        )  # fmt: skip
    axes.set_yticks([row + 0.4 - height / 2 for row in range(len(named))], [each.label for each in named.values()])
    axes.invert_yaxis()
    axes.set_xlabel("tasks solved with two attempts (per cent, ± one standard error over rules)")
    axes.legend(loc="upper right")  # The first condition, without training, solves least.
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)
