"""The report as a table."""

from bench.figures import Figure, Report


def table(report: Report) -> str:
    """Return the report as text: one line a figure, its target and whether it is reached."""
    machine = "\n".join(f"{name:>13}  {value}" for name, value in report.machine.items())
    width = max(len(figure.what) for figure in report.figures)
    lines = [_line(figure, width) for figure in report.figures]
    return "\n".join([machine, "", *lines, "", _summary(report.figures)])


def _line(figure: Figure, width: int) -> str:
    value = f"{_number(figure.value):>9} {figure.unit:<3}"
    verdict = {True: "reached", False: "MISSED", None: ""}[figure.is_reached]
    target = "" if figure.target is None else str(figure.target)
    return f"{figure.what:<{width}}  {value}  {target:>7}  {verdict:<7}  {figure.detail}".rstrip()


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _summary(figures: list[Figure]) -> str:
    judged = [figure for figure in figures if figure.is_reached is not None]
    reached = sum(bool(figure.is_reached) for figure in judged)
    return f"{reached} of {len(judged)} targets reached"
