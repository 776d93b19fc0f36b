"""The script that the WebUI executes: registers the tab, the routes and the always-on script.

Everything is imported at the top, because the extension's folder is on sys.path only while this runs. Where a
callback fails, as in an untested WebUI, only that part is missing; the error is logged and shown on the page.
"""

import os
from functools import wraps

from modules import script_callbacks, scripts, shared

from lib_merge.desk.api import add_routes, basic_auth
from lib_merge.desk.http_guard import listens_on_loopback_only
from lib_merge.desk.page import build
from lib_merge.desk.webui.jobs import InactiveJobGuard, JobGuard
from lib_merge.desk.webui.xyz import find_script
from lib_merge.hosts.table import webui_host
from lib_merge.hosts.webui import KEPT_ON_RELOAD, RECIPE_OPTION, TXT2IMG_FIELDS
from lib_merge.recipe import INFOTEXT_KEY
from lib_merge.service.merging import MergeService
from lib_merge.service.services import Services

# a merge stays in memory over *Reload UI*, and so must the services that know of it
if "services" not in KEPT_ON_RELOAD:
    KEPT_ON_RELOAD["services"] = Services(MergeService(webui_host()))
services = KEPT_ON_RELOAD["services"]
service = services.merging
host = service.host
live = host.capabilities().live
watch = JobGuard(service, host) if live else InactiveJobGuard(service, host)
fields = {}  # the components of the txt2img tab, which is built before ours
RECIPES = (
    "A picture of a merge contains its recipe: sent to txt2img or img2img it becomes an entry "
    f"<b>{INFOTEXT_KEY}</b> of <b>Override settings</b>. The next pictures are then generated with that "
    "merge, until the entry is removed."
)


def guarded(where, otherwise=None):
    """A decorator of callbacks: errors are logged and shown, and the host gets `otherwise`."""

    def guard(act):
        @wraps(act)
        def run(*args, **kwargs):
            try:
                return act(*args, **kwargs)
            except Exception as failure:
                service.report_failure(where, failure)
                return otherwise

        return run

    return guard


class MergeDeskScript(scripts.Script):
    """Ensures before each batch that the job uses the right merge, or stops the job."""

    create_group = False

    def title(self):
        return "Merge Desk"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    @guarded("the start of a job")
    def process(self, p, *args):
        watch.before(p)

    @guarded("the start of a batch")
    def before_process_batch(self, p, *args, **kwargs):
        watch.before(p)

    @guarded("the hires pass")
    def before_hr(self, p, *args):
        watch.before_second_pass(p)


@guarded("its settings")
def settings():
    options = {}
    if live:
        keep = "Load the merge again after the WebUI has reloaded its checkpoint"
        label = "Write the recipe into the infotext of pictures of a merge"
        options["merge_desk_keep"] = shared.OptionInfo(True, keep)
        options["merge_desk_infotext"] = shared.OptionInfo(True, label)
    options[RECIPE_OPTION] = shared.OptionHTML(RECIPES)  # never stored: it belongs to a job
    options[RECIPE_OPTION].infotext = INFOTEXT_KEY
    for key, option in options.items():
        option.section = ("merge_desk", "Merge Desk")
        shared.opts.add_option(key, option)


@guarded("its routes")
def routes(demo, app):
    flags = shared.cmd_opts
    if not getattr(flags, "api", False) and not getattr(flags, "nowebui", False):
        return
    if getattr(flags, "auth_file", None):  # accounts that cannot be checked here
        return
    accounts = getattr(flags, "api_auth", None) or getattr(flags, "auth", None)
    loopback_only = listens_on_loopback_only(flags, os.environ)
    add_routes(app, services, basic_auth(accounts) if accounts else None, loopback_only=loopback_only)


listen_for_checkpoint = host.checkpoint_listener(guarded("the list of checkpoints")(watch.checkpoint_chosen))


@guarded("the txt2img tab's fields")
def remember(component, **kwargs):
    name = kwargs.get("elem_id")
    if name in TXT2IMG_FIELDS:
        fields[TXT2IMG_FIELDS[name]] = component
    listen_for_checkpoint(component, name)


@guarded("its tab", otherwise=())
def tab():
    return [(build(services, host_fields=fields), "Merge Desk", "merge_desk")]


@guarded("the X/Y/Z script")
def join_xyz():
    watch.axes.register(find_script(scripts.scripts_data))


@guarded("a pasted infotext")
def pasted(infotext, params):
    watch.infotext_pasted(params)


@guarded("the setting of the checkpoint")
def picked():
    watch.checkpoint_loaded()


@guarded("its callbacks")
def register(event, callback):
    add = getattr(script_callbacks, event, None)
    if add is not None:
        add(callback)


@guarded("the setting of the checkpoint")
def listen_for_setting():
    script_callbacks.on_script_unloaded(host.on_checkpoint_option(picked))


register("on_ui_settings", settings)
register("on_ui_tabs", tab)
register("on_app_started", routes)
register("on_after_component", remember)
register("on_infotext_pasted", pasted)
if live:
    join_xyz()  # the host's scripts are loaded already; with --nowebui the callbacks below are never called
    register("on_before_ui", join_xyz)
    listen_for_setting()
