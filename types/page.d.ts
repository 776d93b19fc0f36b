/* The one global name of the page's scripts, and what each tab's script is given. */

interface MergeDesk {
  state: typeof import("../javascript/state.js");
  undo: typeof import("../javascript/undo.js");
  engaged: typeof import("../javascript/engaged.js");
  edits: typeof import("../javascript/edits.js");
  inEffect: typeof import("../javascript/in_effect.js");
  faderHistory: typeof import("../javascript/fader_history.js");
  faderGroups: typeof import("../javascript/fader_groups.js");
  numberInput: typeof import("../javascript/number_input.js");
  keptState: typeof import("../javascript/kept_state.js");
  mixEvents: typeof import("../javascript/view_mix_events.js");
  keeping: typeof import("../javascript/view_mix_keeping.js");
  numberList: typeof import("../javascript/number_list.js");
  wire: typeof import("../javascript/wire.js");
  colours: typeof import("../javascript/colours.js");
  dom: typeof import("../javascript/dom.js");
  language: typeof import("../javascript/language.js");
  languagePage: typeof import("../javascript/language_page.js");
  mix: typeof import("../javascript/view_mix.js");
  queue: typeof import("../javascript/view_queue.js");
  faders: typeof import("../javascript/view_mix_faders.js");
  fader: typeof import("../javascript/view_mix_fader.js");
  faderCard: typeof import("../javascript/view_mix_fader_card.js");
  selectionBar: typeof import("../javascript/view_mix_selection.js");
  curve: typeof import("../javascript/view_mix_curve.js");
  faderEvents: typeof import("../javascript/view_mix_fader_events.js");
  numbers: typeof import("../javascript/view_mix_numbers.js");
  presetSteps: typeof import("../javascript/preset_steps.js");
  presets: typeof import("../javascript/view_mix_presets.js");
  pictures: typeof import("../javascript/view_mix_pictures.js");
  pictureChanges: typeof import("../javascript/picture_changes.js");
  pictureList: typeof import("../javascript/picture_list.js");
  pictureSheet: typeof import("../javascript/picture_sheet.js");
  sheet: typeof import("../javascript/view_mix_sheet.js");
  stage: typeof import("../javascript/view_mix_stage.js");
  progress: typeof import("../javascript/view_mix_progress.js");
  fitting: typeof import("../javascript/view_fit.js");
  hints: typeof import("../javascript/view_mix_hints.js");
  firstPicture: typeof import("../javascript/view_mix_first_picture.js");
  keptCards: typeof import("../javascript/kept_cards.js");
  cards: typeof import("../javascript/view_mix_cards.js");
  strip: typeof import("../javascript/view_mix_strip.js");
  fullScreen: typeof import("../javascript/view_mix_full_screen.js");
  methodCards: typeof import("../javascript/method_cards.js");
  menu: typeof import("../javascript/menu.js");
  axisValues: typeof import("../javascript/axis_values.js");
  gridLook: typeof import("../javascript/view_grid_look.js");
  gridSaved: typeof import("../javascript/view_grid_saved.js");
  gridAxes: typeof import("../javascript/view_grid_axes.js");
  gridSheet: typeof import("../javascript/view_grid_sheet.js");
  searchSpace: typeof import("../javascript/search_space.js");
  searchScore: typeof import("../javascript/search_score.js");
  searchSpaceView: typeof import("../javascript/view_search_space.js");
  searchScoreView: typeof import("../javascript/view_search_score.js");
  searchFields: typeof import("../javascript/view_search_fields.js");
  searchTrials: typeof import("../javascript/view_search_trials.js");
  searchEye: typeof import("../javascript/view_search_eye.js");
  reportDrawing: typeof import("../javascript/view_report_drawing.js");
  reportResult: typeof import("../javascript/view_report_result.js");
  searchShapes: typeof import("../javascript/search_shapes.js");
  searchDrawings: typeof import("../javascript/view_search_drawings.js");
  searchMap: typeof import("../javascript/view_search_map.js");
  searchAxes: typeof import("../javascript/view_search_axes.js");
  views: Record<string, { create: (page: DeskPage) => DeskTab }>;
  /** Brings a tab into sight. */
  open: (tab: string) => void;
  /** What Gradio calls with the inputs of an event on its way to Python. */
  fill: (given: unknown[], count: number, name: keyof Desk.Results) => unknown[];
  /** What Gradio calls when an event has ended. */
  ended: (name: string) => unknown[];
}

declare var mergeDesk: MergeDesk;

/** A response, and when Python said it. */
type DeskResponse<N extends keyof Desk.Results> = Omit<Desk.Response, "data"> & {
  data: Desk.Results[N] | null;
  at: number;
};

/** What the scripts of the tabs share. */
interface DeskPage {
  state: InstanceType<MergeDesk["state"]["DeskState"]>;
  wire: InstanceType<MergeDesk["wire"]["Wire"]>;
  mix: DeskMix;
  queue: DeskQueue;
  /** Brings a tab into sight. */
  open: (tab: string) => void;
  /** The lists above the tabs say something else. */
  reselected: () => void;
}

/** What a picture was made with; `snapshot` is the state of the page. */
interface DeskMade {
  selection: Desk.Selection;
  parameters: Desk.FaderAmounts["parameters"];
  snapshot: string;
}

/** A picture. src: a data URL, "" until it is asked for again; id: under which the server keeps it;
 * made: null for one of A alone */
interface DeskPicture {
  src: string;
  id: string;
  infotext: string;
  comparison_key: string;
  seed: number;
  history_id: number;
  made: DeskMade | null;
}

/** What a contact sheet draws: how many pictures, and in what they differ; `prompts` has one a line. */
interface SheetSettings {
  count: number;
  by: "seeds" | "prompts";
  prompts: string;
}

/** One of the pictures of this page, and how it differs from the one before it. */
interface ListedPicture extends DeskPicture {
  number: number;
  changes: string[];
  pinned: boolean;
  starred: boolean;
  note: string;
}

type DeskAct = "apply" | "compare" | "unload";

/** What the page waits for. further: one more picture of the contact sheet; task: the id under which the host's page
 * asks for progress; doing: what Python says that it does now */
interface DeskBusy {
  act: DeskAct | "further";
  task: string;
  since: number;
  made: DeskMade | null;
  doing: string;
  /** The picture as far as it is, as a data URL. */
  preview?: string;
}

/** Lists and fields as they are to be. */
interface DeskWanted {
  selection: Desk.Selection;
  fields: Record<string, string | number | boolean | string[]>;
}

/** What the page says of the merge in memory; `other` is one that the page may load. */
interface DeskNotice {
  text: string;
  recipe: string;
  other: string;
}

/** What Python says the desk is to be set up with. */
type DeskSetup = Pick<Desk.PageSetup, "amounts" | "scalars" | "extras">;

/** What the drawings of a search need of a trial; `values` is what is maximized, empty where it has no score. */
interface SearchTrial {
  number: number;
  state: string;
  values: readonly number[];
  point: Record<string, number | string>;
  origin: string;
  problem: string;
  same_as: number;
}

/** A dimension of a search. slots: the blocks that it sets; low and high: of a range; options: of words, none for a
 * range; importance: its share of what makes a trial good, -1 where that is not known yet. */
interface SearchDimension {
  name: string;
  slots: readonly string[];
  low: number;
  high: number;
  options: readonly string[];
  importance: number;
}

/** What is drawn of a search. front: the trials that no other one beats in both objectives; best: -1 for none */
interface SearchDrawing {
  trials: readonly SearchTrial[];
  dimensions: readonly SearchDimension[];
  objectives: readonly string[];
  front: readonly number[];
  best: number;
  layout: Pick<
    Desk.UiState["fader_layout"],
    "above" | "left" | "middle" | "right" | "outside" | "rows_per_level"
  >;
}

/** What a part of the tab Search that another script draws is made with. */
interface SearchPartPage {
  wire: DeskPage["wire"];
  /** Sets the desk up as a trial was made. */
  take: (number: number) => void;
  /** Asks for the study again, which is then shown. */
  poll: () => void;
}

/** A study as the page has it: all its trials by number, of which `update` has the last ones. */
interface SearchShown {
  update: Desk.SearchUpdate;
  trials: Desk.TrialView[];
}

/** Such a part: fills its place each time that it is made, and is shown the study after every change. */
interface SearchPart {
  draw: (place: HTMLElement) => void;
  show: (shown: SearchShown) => void;
}

/** The queue of grids, searches and saves. */
interface DeskQueue {
  draw: () => void;
  /** The list again, where a tab has drawn a place for it. */
  show: () => void;
  /** The same with what came of the saves. */
  showAll: () => void;
  /** Asks what is in the queue now. */
  look: () => void;
  take: (fresh: Desk.QueueState) => void;
  /** Lets the merge of a recipe be saved in its turn. */
  save: (data: Partial<Desk.Requests["history.save"]>) => void;
  /** The listener is called when a save has ended. */
  onSaved: (listener: () => void) => void;
  /** The listener gets the run of the grid that was started last. */
  onGrid: (listener: (run: number) => void) => void;
  /** The listener is called when another search was started. */
  onSearch: (listener: () => void) => void;
}

/** The faders, for the scripts of all tabs. */
interface DeskMix {
  /** Whatever `act` does to the state of the faders is shown, and sent where the desk is live. */
  edit: (act: () => unknown, atOnce?: boolean) => void;
  show: () => void;
  /** Sends the faders a little later, where they say something else than what was sent. */
  scheduleApply: (atOnce?: boolean) => void;
  send: (act: DeskAct) => void;
  stop: () => void;
  /** Sets this page up as the merge in memory is. */
  loadEngaged: () => void;
  /** What a response of this tab says of the merge in memory; `changes` is how it differs from this page. */
  showResponse: (response: DeskResponse<any>, changes?: string) => void;
  /** Asks what is in memory, and what shapes the merge besides the faders. */
  refreshEffects: () => void;
  /** The lists are being set as Python said in a response of this revision; the faders follow once they are.
   * quiet: it is in memory already, and nothing is to be drawn */
  applySetup: (setup: DeskSetup, how: { revision: number; quiet?: boolean; done?: () => void }) => void;
  /** Rules (weights) or Adjust, which go along with every move; "" takes them back. */
  applyExtra: (name: string, value: string) => void;
  /** The listener gets what was set, by whomever. */
  onExtra: (listener: (name: string, value: string) => void) => void;
  /** Other marks than how far A and B differ, with words for what they say; until A or B changes. */
  mark: (marks: Record<string, number>, words: string) => void;
  /** Has `finish` run once the lists are set as Python said in a response of this revision. */
  afterLists: (revision: number, finish: () => void) => void;
  showPictures: () => void;
  /** One step of undo or redo; where it changes lists or fields, Python sets these first. */
  travel: (step: "undo" | "redo") => void;
  /** The state is that of a snapshot: lists and fields follow, and everything is shown. */
  restored: () => void;
  /** An empty desk: B, C, sliders and rules as a new page has them, as one step of undo. */
  startOver: () => void;
  /** Which files fit A, as far as they have been read. */
  fittingFiles: () => Desk.FittingFiles | null;
  /** The callouts of a first visit, again. */
  showHints: () => void;
  /** The whole state is another one: everything is drawn, and other tabs get their settings. */
  showAll: () => void;
  /** The merge in memory was changed by another tab of this very page. */
  mergeChangedHere: () => void;
  listen: (root: HTMLElement) => void;
}

/** A tab: fills its place each time that it is made, and hears when it comes into sight. */
interface DeskTab {
  draw: (place: HTMLElement) => void;
  shown?: () => void;
}
