"""The desk on a WebUI's page: most settings of a picture are the WebUI's own fields, on its tab txt2img."""

from __future__ import annotations

import re
from typing import Any

from lib_merge.hosts.webui import TXT2IMG_FIELDS
from tests.browser.driver import SECOND, Desk, expect

OURS, THEIRS = "Merge Desk", "txt2img"  # names of tabs
OWN = "seed"  # the one setting that our tab has a field for on a WebUI's page as well
SIZES = ("width", "height")  # A1111's page complains when one is typed ("reading 'props'"), without us too
PLACES = {field: place for place, field in TXT2IMG_FIELDS.items() if field != OWN}
# what the WebUI's page complains of itself: no internet is there, and it has no manifest
NOT_OURS = re.compile(r"manifest", re.IGNORECASE)
# an exception that was raised in a script of the WebUI's, by its first line; ours are below extensions/
THEIR_SCRIPT = re.compile(r"\A[^\n]*\n\s+at [^\n]*/file=(?:javascript/|script\.js)")
# what a page of these tests begins with, as the standalone desk's; keys of ui-config.json
BEGINNING = {
    "txt2img/Prompt/value": "a red circle",
    "txt2img/Width/value": 128,
    "txt2img/Height/value": 128,
    "txt2img/CFG Scale/value": 4.0,
    "customscript/sampler.py/txt2img/Sampling steps/value": 3,
    "customscript/sampler.py/txt2img/Sampling steps/maximum": 1000,  # for a picture that takes long
}


class HostDesk(Desk):
    """One open page of a WebUI, and what a person does on it."""

    saves_in = "checkpoints"

    def __init__(self, browser: Any, address: str, **more: Any) -> None:
        super().__init__(browser, address, OURS, **more)

    def _note_exception(self, error: Any) -> None:
        """An exception, but of the WebUI's own scripts: its Escape looks for a button that our tab lacks."""
        if not THEIR_SCRIPT.search(error.stack or ""):
            super()._note_exception(error)

    def _note_error(self, said: Any) -> None:
        super()._note_error(said)
        self.complaints[:] = [said for said in self.complaints if not NOT_OURS.search(said)]

    def open_tab(self, name: str) -> None:
        """One of the WebUI's own tabs; their role is tab in Gradio 4, and button in Gradio 3."""
        tabs = self.page.locator("#tabs > .tab-nav button")
        tabs.filter(has_text=re.compile(rf"^\s*{re.escape(name)}\s*$", re.IGNORECASE)).click()

    def setting(self, field: str) -> Any:
        """The field of one of a picture's settings, wherever it is."""
        if field == OWN:
            return super().setting(field)
        return self.page.locator(f"#{PLACES[field]} :is(textarea, input[type=number])").first

    def write(self, field: str, value: str) -> None:
        """Write one of a picture's settings into its field, on the tab that it is on, and come back."""
        if field == OWN:
            return super().write(field, value)
        complaints = list(self.complaints)
        self.open_tab(THEIRS)
        super().write(field, value)
        self.open_tab(OURS)
        expect(self.part("status")).to_be_visible()
        self.page.wait_for_timeout(SECOND)  # until our page has looked at what was changed there
        if field in SIZES:
            self.complaints[:] = complaints
        return None

    def generate_by_key(self, field: str) -> None:
        """Ctrl+Enter in our own field; in one of its own it is the WebUI that generates."""
        super().generate_by_key(OWN)

    def open_again(self) -> None:
        """Reload the page, and come back to our tab."""
        self.page.wait_for_timeout(SECOND)  # until the last change is kept
        super().open_again()
        self.page.wait_for_selector("#txt2img_prompt textarea")
        self.open_tab(OURS)
        expect(self.page.locator("[data-mount=faders][data-resumed]")).to_be_attached()
