from phyt2v_cli.report.scores import disagreement
from phyt2v_cli.roles import Scores


def test_scorers_are_as_far_apart_as_their_extremes() -> None:
    apart = disagreement([Scores(0.9, 0.4), Scores(0.7, 0.8), Scores(0.8, None)])
    assert apart == (0.2, 0.4)
    assert apart.largest() == ("PC", 0.4)


def test_who_abstains_disagrees_with_nobody() -> None:
    assert disagreement([]) == disagreement([Scores(0.9, 0.4)]) == (None, None)
    apart = disagreement([Scores(0.9, None), Scores(0.9, 0.4)])
    assert apart == (0.0, None)
    assert apart.largest() == ("SA", 0.0)
    assert disagreement([Scores(None, 1.0), Scores(1.0, None)]).largest() is None
