"""How long the runs that are left take, from those that were done."""

from ltvm.runs.ablations.forecast import Forecast, Work


def test_a_forecast_knows_what_each_kind_takes():
    forecast = Forecast(list(map(Work, "ababc")))
    assert forecast.seconds_left() is None
    assert forecast.sentence() == ""
    forecast.finished(Work("a"), 10.0)
    assert forecast.seconds_left() == 4 * 10
    forecast.finished(Work("b"), 30.0)
    assert forecast.seconds_left() == 10 + 30 + 20  # the one not met yet: the mean of the others
    assert forecast.sentence() == "the other 3 runs will take about 60 s"
    for kind in "abc":
        forecast.finished(Work(kind), 20.0)
    assert forecast.seconds_left() == 0
    assert forecast.sentence() == ""


def test_what_a_measurement_takes_says_nothing_of_a_training():
    """Two seconds for new metrics of a trained run, minutes for the runs that are left."""
    forecast = Forecast([Work("a", training=False), Work("a"), Work("b", training=False)])
    forecast.finished(Work("a", training=False), 2.0)
    assert forecast.seconds_left() is None
    assert forecast.sentence() == ""
    forecast.finished(Work("a"), 700.0)
    assert forecast.seconds_left() == 2.0


def test_the_other_of_two_that_share_a_training_may_train():
    forecast = Forecast([Work("prior"), Work("mixture", training=False), Work("other")])
    forecast.finished(Work("mixture"), 100.0)
    assert forecast.seconds_left() == 200.0  # one of a kind that is left, and the other
    forecast.finished(Work("prior", training=False), 4.0)
    assert forecast.seconds_left() == 100.0
