"""Every tab of the page, one line each; desk/tab.py says what follows from a line."""

from __future__ import annotations

from collections.abc import Sequence

from lib_merge.desk.languages import handlers as language_handlers
from lib_merge.desk.lists import fitting, handlers
from lib_merge.desk.protocol import Endpoint, endpoints_of
from lib_merge.desk.queue import handlers as queue_handlers
from lib_merge.desk.tab import Tab
from lib_merge.desk.tabs.grid.tab import GRID_TAB
from lib_merge.desk.tabs.history.tab import HISTORY_TAB
from lib_merge.desk.tabs.methods.tab import METHODS_TAB
from lib_merge.desk.tabs.mix.tab import MIX_TAB
from lib_merge.desk.tabs.report.tab import REPORT_TAB
from lib_merge.desk.tabs.search.tab import SEARCH_TAB
from lib_merge.desk.tabs.weights.tab import WEIGHTS_TAB

# of the lists above the tabs, the language, and the queue
LIST_ENDPOINTS: tuple[Endpoint, ...] = (
    *endpoints_of(handlers),
    *endpoints_of(fitting),
    *endpoints_of(language_handlers),
    *endpoints_of(queue_handlers),
)
TABS: tuple[Tab, ...] = (MIX_TAB, WEIGHTS_TAB, METHODS_TAB, REPORT_TAB, GRID_TAB, SEARCH_TAB, HISTORY_TAB)


def endpoints(tabs: Sequence[Tab] = TABS) -> tuple[Endpoint, ...]:
    """Every endpoint of the page."""
    return (*LIST_ENDPOINTS, *(endpoint for tab in tabs for endpoint in tab.endpoints))
