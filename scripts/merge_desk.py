"""What the WebUI executes: puts the desk's tab, routes and always-on script where the host wants them.

Everything is imported here, at the top: the extension's folder is on sys.path only while this runs.
"""

import os

from modules import script_callbacks, scripts, shared

from lib_merge.desk.api import add_routes, basic_auth
from lib_merge.desk.http_guard import listens_on_loopback_only
from lib_merge.desk.mixer import Mixer
from lib_merge.desk.tab import build
from lib_merge.desk.watch import Watch
from lib_merge.desk.xyz import find_script
from lib_merge.hosts.a1111 import A1111Host
from lib_merge.hosts.webui import KEPT, on_option

if "mixer" not in KEPT:  # a merge stays in memory over Reload UI, and so must what is known of it
    KEPT["mixer"] = Mixer(A1111Host())
mixer = KEPT["mixer"]
watch = Watch(mixer, mixer.host)
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


class MergeDeskScript(scripts.Script):
    """Has every job draw with the engaged merge, or stops it."""

    create_group = False

    def title(self):
        return "Merge Desk"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def process(self, p, *args):
        watch.before(p)

    def before_process_batch(self, p, *args, **kwargs):
        watch.before(p)


def settings():
    section = ("merge_desk", "Merge Desk")
    kept = shared.OptionInfo(True, "Swap the merge in again where the WebUI loads its checkpoint over it")
    told = shared.OptionInfo(True, "Write the recipe into the infotext of pictures drawn with a merge")
    for key, option in (("merge_desk_keep", kept), ("merge_desk_infotext", told)):
        option.section = section
        shared.opts.add_option(key, option)


def routes(demo, app):
    if shared.cmd_opts.api or shared.cmd_opts.nowebui:
        accounts = shared.cmd_opts.api_auth
        loopback_only = listens_on_loopback_only(shared.cmd_opts, os.environ)
        add_routes(app, mixer, basic_auth(accounts) if accounts else None, loopback_only=loopback_only)


def remember(component, **kwargs):
    name = kwargs.get("elem_id")
    if name in BORROWED:
        fields[BORROWED[name]] = component
    if name == "setting_sd_model_checkpoint":  # the list at the top of the page
        component.select(watch.chosen, inputs=[component], outputs=[], show_progress="hidden", api_name=False)


def tab():
    return [(build(mixer, borrowed=fields), "Merge Desk", "merge_desk")]


def join_xyz():
    watch.axes.join(find_script(scripts.scripts_data))


join_xyz()  # the host's own scripts are there already; --nowebui never comes to what follows
script_callbacks.on_before_ui(join_xyz)
script_callbacks.on_ui_settings(settings)
script_callbacks.on_ui_tabs(tab)
script_callbacks.on_app_started(routes)
script_callbacks.on_after_component(remember)
script_callbacks.on_infotext_pasted(lambda infotext, params: watch.pasted(params))
script_callbacks.on_script_unloaded(on_option("sd_model_checkpoint", watch.picked))
