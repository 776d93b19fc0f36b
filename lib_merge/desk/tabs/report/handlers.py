"""The handlers of the tab *Report*: comparisons, and checks for damage."""

from __future__ import annotations

from lib_merge.desk.common import data_url
from lib_merge.desk.protocol import Action, EmptyRequest, action
from lib_merge.desk.tabs.report.render import health_view, kind_views, report_view
from lib_merge.desk.tabs.report.view import HealthResult, Plot, Report, ReportOptions
from lib_merge.hosts.host import HostError
from lib_merge.service.reports import CheckRequest, CompareRequest, ReportProgress
from lib_merge.service.services import Services

NO_REPORT = "Stopped; no report was made."


@action("report.open", status=False)
def open_(service: Services, action: Action[EmptyRequest]) -> ReportOptions:
    """The choices of the tab's lists."""
    names = tuple(file.name for file in service.merging.host.checkpoints())
    selection = action.selection
    return ReportOptions(
        names, kind_views(), _checkpoint_name(service, selection.a), _checkpoint_name(service, selection.b)
    )


@action("report.compare", status=False, stopped=NO_REPORT)
def compare(service: Services, action: Action[CompareRequest]) -> Report:
    """Compares models with a reference."""
    a, b = (_checkpoint_name(service, name) for name in (action.selection.a, action.selection.b))
    return report_view(service.reports.compare(action.data), a, b)


@action("report.plot", status=False, stopped=NO_REPORT)
def plot(service: Services, action: Action[CompareRequest]) -> Plot:
    """Compares models with a reference, as a picture."""
    from lib_merge.report.render.plot import plot_png

    return Plot(data_url(plot_png(service.reports.compare(action.data)), "image/png"))


@action("report.check", status=False, stopped=NO_REPORT)
def check(service: Services, action: Action[CheckRequest]) -> HealthResult:
    """Checks models for damage."""
    a, b = (_checkpoint_name(service, name) for name in (action.selection.a, action.selection.b))
    reports = service.reports.check(action.data)
    return HealthResult(tuple(health_view(health, a, b) for health in reports))


@action("report.progress", queued=False, status=False)
def progress(service: Services, action: Action[EmptyRequest]) -> ReportProgress:
    """The progress of the running report."""
    return service.reports.progress()


@action("report.stop", queued=False, status=False)
def stop(service: Services, action: Action[EmptyRequest]) -> EmptyRequest:
    """Stops the running report."""
    service.reports.stop()
    return EmptyRequest()


def _checkpoint_name(service: Services, name: str) -> str:
    """The name of the checkpoint that is selected in a list; "" for none."""
    try:
        return service.merging.checkpoint(name).name if name else ""
    except HostError:
        return ""
