"""What the WebUI executes: puts the desk's tab, routes and always-on script where the host wants them.

Everything is imported here, at the top: the extension's folder is on sys.path only while this runs. Whatever
fails here, or lacks in a WebUI that nobody has tried, costs that part of us alone: it is logged and told on
our page.
"""

import os
from functools import wraps

from modules import script_callbacks, scripts, shared

from lib_merge.desk.api import add_routes, basic_auth
from lib_merge.desk.http_guard import listens_on_loopback_only
from lib_merge.desk.mixer import Mixer
from lib_merge.desk.tab import build
from lib_merge.desk.watch import Bystander, Watch
from lib_merge.desk.xyz import find_script
from lib_merge.hosts.detect import webui_host
from lib_merge.hosts.webui import KEPT, RECIPE_OPTION, on_option
from lib_merge.recipe import RECIPE

if "mixer" not in KEPT:  # a merge stays in memory over Reload UI, and so must what is known of it
    KEPT["mixer"] = Mixer(webui_host())
mixer = KEPT["mixer"]
live = mixer.host.surface().live
watch = Watch(mixer, mixer.host) if live else Bystander(mixer, mixer.host)
lists = []  # the host's own list of checkpoints
fields = {}  # the txt2img tab's own components, which is built before ours
BORROWED = {
    "txt2img_prompt": "prompt",
    "txt2img_neg_prompt": "negative",
    "txt2img_styles": "styles",
    "txt2img_sampling": "sampler",
    "txt2img_scheduler": "scheduler",
    "txt2img_steps": "steps",
    "txt2img_cfg_scale": "cfg",
    "txt2img_width": "width",
    "txt2img_height": "height",
    "txt2img_seed": "seed",
}
RECIPES = (
    "A picture that was drawn with a merge in memory brings its recipe: sent to txt2img or img2img it "
    f"becomes an entry <b>{RECIPE}</b> of <b>Override settings</b>. The next pictures are then drawn with "
    "that merge, until the entry is taken out."
)


def guarded(where, otherwise=None):
    """A callback of ours whose errors stay with us; `otherwise` is what the host gets then."""

    def guard(act):
        @wraps(act)
        def run(*given, **named):
            try:
                return act(*given, **named)
            except Exception as failure:
                mixer.trouble(where, failure)
                return otherwise

        return run

    return guard


class MergeDeskScript(scripts.Script):
    """Has every job draw with the merge that it should, or stops it."""

    create_group = False

    def title(self):
        return "Merge Desk"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    @guarded("a job's begin")
    def process(self, p, *args):
        watch.before(p)

    @guarded("a batch's begin")
    def before_process_batch(self, p, *args, **kwargs):
        watch.before(p)

    @guarded("a second pass")
    def before_hr(self, p, *args):
        watch.before_second_pass(p)


@guarded("its settings")
def settings():
    options = {}
    if live:
        kept = "Swap the merge in again where the WebUI loads its checkpoint over it"
        told = "Write the recipe into the infotext of pictures drawn with a merge"
        options["merge_desk_keep"] = shared.OptionInfo(True, kept)
        options["merge_desk_infotext"] = shared.OptionInfo(True, told)
    options[RECIPE_OPTION] = shared.OptionHTML(RECIPES)  # never stored: it is a job's alone
    options[RECIPE_OPTION].infotext = RECIPE
    for key, option in options.items():
        option.section = ("merge_desk", "Merge Desk")
        shared.opts.add_option(key, option)


@guarded("its routes")
def routes(demo, app):
    flags = shared.cmd_opts
    if not getattr(flags, "api", False) and not getattr(flags, "nowebui", False):
        return
    if getattr(flags, "auth_file", None):  # accounts of a kind that we cannot ask
        return
    accounts = getattr(flags, "api_auth", None) or getattr(flags, "auth", None)
    loopback_only = listens_on_loopback_only(flags, os.environ)
    add_routes(app, mixer, basic_auth(accounts) if accounts else None, loopback_only=loopback_only)


@guarded("the txt2img tab's fields")
def remember(component, **kwargs):
    name = kwargs.get("elem_id")
    if name in BORROWED:
        fields[BORROWED[name]] = component
    if live:
        hear_of_checkpoints(component, name)


def hear_of_checkpoints(component, name):
    """The list at the top of the page, and the cards, which press a button that nobody sees."""
    chosen = guarded("the list of checkpoints")(watch.chosen)
    quiet = {"outputs": [], "show_progress": "hidden", "api_name": False}
    if name == "setting_sd_model_checkpoint":
        lists.append(component)
        component.select(chosen, inputs=[component], **quiet)
    if name == "change_checkpoint" and lists:  # we are asked before the host, which takes the name away
        component.click(chosen, inputs=lists[-1:], _js="() => [desiredCheckpointName || '']", **quiet)


@guarded("its tab", otherwise=())
def tab():
    return [(build(mixer, borrowed=fields), "Merge Desk", "merge_desk")]


@guarded("the X/Y/Z script")
def join_xyz():
    watch.axes.join(find_script(scripts.scripts_data))


@guarded("a pasted infotext")
def pasted(infotext, params):
    watch.pasted(params)


@guarded("the setting of the checkpoint")
def picked():
    watch.picked()


@guarded("its callbacks")
def register(event, callback):
    add = getattr(script_callbacks, event, None)
    if add is not None:
        add(callback)


@guarded("the setting of the checkpoint")
def hear_of_choices():
    script_callbacks.on_script_unloaded(on_option("sd_model_checkpoint", picked))


register("on_ui_settings", settings)
register("on_ui_tabs", tab)
register("on_app_started", routes)
register("on_after_component", remember)
register("on_infotext_pasted", pasted)
if live:
    join_xyz()  # the host's own scripts are there already; --nowebui never comes to what follows
    register("on_before_ui", join_xyz)
    hear_of_choices()
