"""What reports draw in is theirs: nothing drawn elsewhere in the process looks otherwise."""

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.colors import to_rgb

from ltvm.report.page.write import write_report
from ltvm.report.plots.figures import themed


def test_a_report_leaves_the_users_own_figures_as_they_were(written, tmp_path):
    figure = plt.figure()
    before, backend, green = dict(mpl.rcParams), mpl.get_backend(), to_rgb("g")
    write_report(written.manifest(), tmp_path / "reports")
    assert dict(mpl.rcParams) == before
    assert (mpl.get_backend(), to_rgb("g")) == (backend, green)
    assert plt.get_fignums() == [figure.number]
    plt.close(figure)


def test_what_is_drawn_for_a_report_has_its_theme():
    assert themed(lambda: mpl.rcParams["axes.titley"])() == 1.0
    assert mpl.rcParams["axes.titley"] is None
