/* What Python says to the page, made from its dataclasses: "python3 start.py docs" writes it. */
declare namespace Desk {
  interface AlignmentNote {
    text: string;
  }
  interface AxesList {
    saved: SavedAxes[];
  }
  interface AxesName {
    name: string;
    axes: Record<string, [string, string]>;
  }
  interface AxisView {
    name: string;
    help: string;
    merges: boolean;
    lines: boolean;
    group: string;
    choices: string[];
    examples: string[];
  }
  interface BlockNote {
    place: string;
    tensors: string;
    said: string;
  }
  interface BlockRows {
    beside: string[];
    pairs: [string, string][];
    middle: string[];
  }
  interface CellSetup {
    lists: Record<string, string>;
    amounts: Record<string, Record<string, number>>;
    scalars: Record<string, any>;
    extras: Record<string, string>;
    recipe: string;
    why: string;
    drawing: Record<string, any>;
  }
  interface CellView {
    position: [number, number, number];
    picture: string;
    problem: string;
    infotext: string;
    merge_seconds: number | null;
    draw_seconds: number;
  }
  interface ChangedCards {
    cards: KeptCard[];
    gone: string[];
  }
  interface CheckRequest {
    models: string[];
    base: string;
  }
  interface CompareRequest {
    reference: string;
    models: string[];
    kind: string;
    base: string;
    seed: number | null;
  }
  interface Differences {
    a: string;
    b: string;
    by_slot: Record<string, number>;
    not_finite: string[];
  }
  interface DimensionView {
    name: string;
    low: number | null;
    high: number | null;
    choices: string[];
    slots: string[];
  }
  interface Effect {
    kind: string;
    text: string;
  }
  interface Effects {
    items: Effect[];
    overrides: Record<string, Record<string, RuleOverride>>;
  }
  interface EffectsResult {
    effects: Effects;
    changes: string;
    drawing_key: string;
    fields: Record<string, string | number | number | boolean | string[]>;
  }
  interface EmptyRequest {
  }
  interface EngagedMerge {
    id: string;
    setup: PageSetup | null;
    align: boolean;
    effects: Effects;
    notes: string[];
  }
  interface EyeClick {
    left: number;
    right: number;
    answer: "left" | "right" | "neither" | "both bad";
    clicks: number;
    pictures: number[];
  }
  interface EyePictures {
    number: number;
    urls: string[];
  }
  interface EyeSeen {
    pictures: number[];
  }
  interface EyeView {
    running: boolean;
    clicks: number;
    goal: number;
    drawn: number;
    left: number;
    right: number;
    ahead: number;
    best: number;
    chance: number;
    trials: EyePictures[];
  }
  interface FaderAction {
    label: string;
    action: string;
    slot: string;
  }
  interface FaderAmounts {
    parameters: Record<string, boolean | string | number | number | Record<string, number>>;
    engaged: string | null;
    seed: number | null;
  }
  interface FaderGroup {
    title: string;
    slots: string[];
  }
  interface FaderLayout {
    above: string[];
    left: string[];
    middle: string[];
    right: string[];
    outside: string[];
    rows_per_level: number;
  }
  interface FamilyName {
    family: string;
  }
  interface FindingView {
    text: string;
    actions: FaderAction[];
  }
  interface FittingFiles {
    a: string;
    fits: string[];
    misfits: Misfit[];
    left: number;
    unreadable: string;
  }
  interface FurtherPicture {
    engaged: string;
    drawing: string;
    seed: number;
    prompt: string | null;
    of_a: boolean;
  }
  interface FurtherResult {
    picture: string;
    infotext: string;
    seed: number;
  }
  interface GridFile {
    name: string;
    url: string;
  }
  interface GridInput {
    parameters: Record<string, boolean | string | number | number | Record<string, number>>;
    axes: Record<string, [string, string]>;
  }
  interface GridOptions {
    kinds: AxisView[];
    started: GridStarted | null;
    axes: Record<string, [string, string]> | null;
    saved: SavedAxes[];
  }
  interface GridPosition {
    position: [number, number, number];
  }
  interface GridRow {
    row: number;
    sheet: number;
  }
  interface GridSeen {
    run: number;
    events: number;
  }
  interface GridStarted {
    run: number;
    sheet: SheetView;
    axes: Record<string, [string, string]> | null;
  }
  interface GridStopped {
    run: number;
  }
  interface GridSummary {
    summary: string;
  }
  interface GridUpdate {
    run: number;
    events: number;
    running: boolean;
    progress: string;
    cells: CellView[];
    blocks: Record<string, number> | null;
    problem: Problem | null;
  }
  interface HealthResult {
    files: HealthView[];
  }
  interface HealthView {
    name: string;
    title: string;
    findings: FindingView[];
  }
  interface HistoryEntry {
    id: number;
    at: string;
    kind: string;
    title: string;
    name: string;
    star: boolean;
    file: string;
    sha256: string;
    recipe: string;
    picture: string;
  }
  interface HistoryId {
    query: string;
    starred: boolean;
    limit: number;
    id: number;
  }
  interface HistoryName {
    query: string;
    starred: boolean;
    limit: number;
    id: number;
    name: string;
  }
  interface HistoryQuery {
    query: string;
    starred: boolean;
    limit: number;
  }
  interface HistoryResult {
    entries: HistoryEntry[];
    matching: number;
    done: string;
  }
  interface HistoryStar {
    query: string;
    starred: boolean;
    limit: number;
    id: number;
    star: boolean;
  }
  interface KeptCard {
    id: string;
    marked: boolean;
    text: string;
  }
  interface KeptCards {
    cards: KeptCard[];
  }
  interface KeptPicture {
    picture: string;
  }
  interface KindView {
    id: string;
    title: string;
    seed: number | null;
    base: boolean;
  }
  interface LanguageName {
    language: string;
  }
  interface LanguageTexts {
    texts: Record<string, string>;
  }
  interface ListOptions {
    checkpoints: string[];
    methods: string[];
    vaes: string[];
    dtypes: string[];
    loaded: string;
    unreadable: string;
  }
  interface ListsAndFields {
    lists: Record<string, string>;
    align: boolean;
    drawing: Record<string, string | number | number | boolean | string[]>;
  }
  interface MethodCard {
    id: string;
    title: string;
    summary: string;
    formula: string;
    models: string;
    block_weights: boolean;
    parameters: ParameterView[];
    source: string;
    unavailable_reason: string;
    drawing: Record<string, number[]>;
  }
  interface MethodCards {
    chosen: string;
    groups: MethodGroup[];
  }
  interface MethodChoice {
    title: string | null;
  }
  interface MethodGroup {
    purpose: string;
    sentence: string;
    cards: MethodCard[];
  }
  interface MethodName {
    name: string;
  }
  interface MethodView {
    id: string;
    title: string;
    summary: string;
    formula: string;
    faders: ParameterView[];
    scalars: ParameterView[];
    neutral: Record<string, number> | null;
    mixed_models: Record<string, string>;
    models: number;
  }
  interface Misfit {
    name: string;
    why: string;
  }
  interface MixProgress {
    text: string;
    share: number;
    preview: string;
  }
  interface MixResult {
    picture: string;
    history_id: number;
    picture_id: string;
    infotext: string;
    seed: number;
    drawing_key: string;
    comparison_key: string;
    note: string;
    effects: Effects | null;
    changed_elsewhere: boolean;
    changes: string;
  }
  interface NamedPreset {
    name: string;
    family: string;
    values: Record<string, number>;
    own: boolean;
    about: string;
  }
  interface NumberLayout {
    id: string;
    title: string;
    positions: Record<string, Record<string, number>>;
  }
  interface NumberText {
    text: string;
    layout: string;
    family: string;
    parameter: string;
  }
  interface NumbersResult {
    amounts: Record<string, number>;
    problem: string;
  }
  interface PageSetup {
    recipe: string;
    lists: Record<string, string>;
    amounts: Record<string, Record<string, number>>;
    scalars: Record<string, any>;
    extras: Record<string, string>;
    why: string;
    notes: string[];
  }
  interface PageToKeep {
    page: string;
    engaged: string;
  }
  interface ParameterView {
    name: string;
    title: string;
    kind: string;
    low: number;
    high: number;
    step: number;
    default: any;
    help: string;
  }
  interface PastedData {
    text: string;
    picture: string;
    file: string;
  }
  interface PictureId {
    id: string;
  }
  interface Plot {
    picture: string;
  }
  interface PresetAmounts {
    name: string;
    family: string;
    amounts: Record<string, number>;
  }
  interface PresetName {
    name: string;
    family: string;
  }
  interface PresetRename {
    name: string;
    new_name: string;
    family: string;
  }
  interface PresetText {
    text: string;
    family: string;
  }
  interface PresetsResult {
    presets: NamedPreset[];
    notes: string[];
  }
  interface Problem {
    what: string;
    where: string;
    hint: string;
    more: string[];
    calm: boolean;
  }
  interface ProgressRequest {
    engaged: string;
    wait: number;
  }
  interface QueueNumber {
    number: number;
  }
  interface QueueState {
    waiting: WaitingView[];
    saving: SavingView | null;
    saved: SavedView[];
    held: boolean;
    grid: number;
    search: number;
  }
  interface Rank {
    name: string;
    input: number | null;
    output: number | null;
    overall: number | null;
  }
  interface RecipeSave {
    text: string;
    name: string;
    format: string;
    overwrite: boolean;
  }
  interface RecipeText {
    query: string;
    starred: boolean;
    limit: number;
    text: string;
  }
  interface ReferenceInput {
    picture: string;
    name: string;
  }
  interface ReferenceName {
    name: string;
  }
  interface Report {
    title: string;
    drawing: ReportDrawing;
    tables: ReportTable[];
    ranking: Rank[];
    findings: FindingView[];
    notes: string[];
    text: string;
    csv: string;
    json: string;
  }
  interface ReportCell {
    text: string;
    heat: number;
  }
  interface ReportDrawing {
    layout: FaderLayout;
    models: string[];
    bars: Record<string, ReportCell[]>;
    ticks: ReportCell[];
  }
  interface ReportOptions {
    checkpoints: string[];
    kinds: KindView[];
    a: string;
    b: string;
  }
  interface ReportProgress {
    running: boolean;
    what: string;
    share: number;
  }
  interface ReportRow {
    name: string;
    cells: ReportCell[];
    slot: string;
  }
  interface ReportTable {
    title: string;
    corner: string;
    columns: string[];
    rows: ReportRow[];
  }
  interface Response {
    seq: number;
    action: string;
    data: any;
    problem: Problem | null;
    status: StatusView | null;
    selection: Selection;
    revision: number;
  }
  interface ResumedDesk {
    page: string;
    engaged: string;
    lists: Record<string, string>;
    align: boolean;
    drawing: Record<string, string | number | number | boolean | string[]>;
    present: Record<string, string | number | number | boolean | string[]>;
  }
  interface RuleOverride {
    complete: boolean;
    value: string;
    rules: string;
    text: string;
  }
  interface RuleStat {
    line: number;
    text: string;
    hits: number;
    wins: number;
  }
  interface RulesResult {
    text: string;
    stats: RuleStat[];
    amount_by_slot: Record<string, number>;
    tensors_by_amount: Record<string, Record<string, number>>;
    model: string;
  }
  interface RulesText {
    text: string;
    family: string;
  }
  interface SaveRequest {
    parameters: Record<string, boolean | string | number | number | Record<string, number>>;
    name: string;
    format: string;
    overwrite: boolean;
    save_options: string[];
    previewed: boolean;
  }
  interface SaveResult {
    sheet: [string, string][];
    card: string;
    previewed: boolean;
  }
  interface SavedAxes {
    name: string;
    axes: Record<string, [string, string]>;
  }
  interface SavedView {
    number: number;
    file: string;
    summary: string;
  }
  interface SavingView {
    number: number;
    summary: string;
    text: string;
    share: number;
  }
  interface ScorerView {
    name: string;
    help: string;
    argument: string;
    missing: string;
  }
  interface SearchInput {
    parameters: Record<string, boolean | string | number | number | Record<string, number>>;
    options: SearchOptions;
  }
  interface SearchMenu {
    missing: Problem | null;
    scorers: ScorerView[];
    samplers: [string, string][];
    studies: string[];
    chosen: SearchOptions | null;
    update: SearchUpdate;
  }
  interface SearchOptions {
    space: string;
    score: string[];
    budget: string;
    prompt: string[];
    held_out: string[];
    seeds: string;
    sampler: string;
    sampler_seed: number;
    penalty: number;
    prune: number;
    trial_limit: number;
    start: string[];
    starred: boolean;
    study: string;
  }
  interface SearchPlanned {
    summary: string;
    problem: Problem | null;
  }
  interface SearchSeen {
    study: string;
    first: number;
  }
  interface SearchUpdate {
    study: string;
    running: boolean;
    ending: boolean;
    waiting: boolean;
    message: string;
    problem: Problem | null;
    options: SearchOptions;
    objectives: string[];
    dimensions: DimensionView[];
    first: number;
    trials: TrialView[];
    more: boolean;
    best: number;
    front: number[];
    importances: Record<string, number>;
  }
  interface Selection {
    a: string;
    b: string;
    c: string;
    method: string;
    vae: string;
    dtype: string;
    align: boolean;
  }
  interface SheetView {
    titles: Record<string, string>;
    labels: Record<string, string[]>;
    summary: string;
    width: number;
    height: number;
    rows: BlockRows | null;
  }
  interface StatusView {
    live: boolean;
    base: string;
    next: string;
    name: string;
    text: string;
    note: string;
    engaged: string;
    read_at: number;
  }
  interface StudyName {
    study: string;
    budget: string;
  }
  interface TrialNumber {
    number: number;
    picture: number;
  }
  interface TrialPicture {
    number: number;
    picture: number;
    url: string;
  }
  interface TrialView {
    number: number;
    state: string;
    values: number[];
    scores: number[];
    held_out: number[];
    origin: string;
    problem: string;
    seconds: number;
    same_as: number;
    point: Record<string, number | string>;
    pictures: number;
    thumbnail: string;
  }
  interface UiState {
    family: string;
    title: string;
    fader_layout: FaderLayout;
    listed_names: string[];
    groups: Record<string, string[]>;
    fader_groups: FaderGroup[];
    block_notes: Record<string, BlockNote>;
    number_layouts: NumberLayout[];
    method: MethodView;
    presets: NamedPreset[];
    disabled_faders: Record<string, string>;
    no_block_weights: string;
    next_step: string;
    same_models: string;
    problem: Problem | null;
  }
  interface WaitingView {
    number: number;
    kind: string;
    summary: string;
    recipe: string;
  }
  interface WeightsOptions {
    example: string;
    adjust: ParameterView[];
    presets: [string, string][];
    own: [string, string][];
  }
  /** By endpoint. */
  interface Requests {
    "lists.open": EmptyRequest;
    "lists.refresh": EmptyRequest;
    "lists.changed": EmptyRequest;
    "lists.settled": EmptyRequest;
    "lists.differences": EmptyRequest;
    "lists.align": EmptyRequest;
    "lists.fit": EmptyRequest;
    "language.open": LanguageName;
    "queue.poll": EmptyRequest;
    "queue.remove": QueueNumber;
    "queue.restore": QueueNumber;
    "queue.next": EmptyRequest;
    "queue.stop": QueueNumber;
    "queue.dismiss": QueueNumber;
    "mix.apply": FaderAmounts;
    "mix.compare": FaderAmounts;
    "mix.unload": FaderAmounts;
    "mix.effects": FaderAmounts;
    "mix.load_engaged": EmptyRequest;
    "mix.stop": EmptyRequest;
    "mix.stop_previews": EmptyRequest;
    "mix.progress": ProgressRequest;
    "mix.save_preset": PresetAmounts;
    "mix.import_presets": PresetText;
    "mix.rename_preset": PresetRename;
    "mix.delete_preset": PresetName;
    "mix.numbers": NumberText;
    "mix.save": SaveRequest;
    "mix.saved": QueueNumber;
    "mix.further_picture": FurtherPicture;
    "mix.keep": PageToKeep;
    "mix.resume": EmptyRequest;
    "mix.set_up": ListsAndFields;
    "mix.picture": PictureId;
    "mix.cards": EmptyRequest;
    "mix.keep_cards": ChangedCards;
    "weights.open": FamilyName;
    "weights.test": RulesText;
    "weights.copy": RulesText;
    "methods.open": EmptyRequest;
    "methods.choose": MethodName;
    "report.open": EmptyRequest;
    "report.compare": CompareRequest;
    "report.plot": CompareRequest;
    "report.check": CheckRequest;
    "report.progress": EmptyRequest;
    "report.stop": EmptyRequest;
    "grid.open": EmptyRequest;
    "grid.save_axes": AxesName;
    "grid.delete_axes": AxesName;
    "grid.plan": GridInput;
    "grid.start": GridInput;
    "grid.map": GridInput;
    "grid.add": GridInput;
    "grid.resume": EmptyRequest;
    "grid.stop": EmptyRequest;
    "grid.poll": GridSeen;
    "grid.load_cell": GridPosition;
    "grid.picture": GridPosition;
    "grid.sheet": EmptyRequest;
    "grid.table": EmptyRequest;
    "grid.row": GridRow;
    "search.open": EmptyRequest;
    "search.plan": SearchInput;
    "search.start": SearchInput;
    "search.add": SearchInput;
    "search.go_on": StudyName;
    "search.pause": EmptyRequest;
    "search.stop": EmptyRequest;
    "search.show": StudyName;
    "search.poll": SearchSeen;
    "search.take": TrialNumber;
    "search.picture": TrialNumber;
    "search.reference": ReferenceInput;
    "search.eye": EyeSeen;
    "search.eye_click": EyeClick;
    "search.eye_back": EyeSeen;
    "history.list": HistoryQuery;
    "history.star": HistoryStar;
    "history.rename": HistoryName;
    "history.delete": HistoryId;
    "history.undelete": HistoryId;
    "history.load": HistoryId;
    "history.paste": PastedData;
    "history.apply": RecipeText;
    "history.save": RecipeSave;
  }
  /** By endpoint. */
  interface Results {
    "lists.open": ListOptions;
    "lists.refresh": ListOptions;
    "lists.changed": UiState;
    "lists.settled": UiState;
    "lists.differences": Differences;
    "lists.align": AlignmentNote;
    "lists.fit": FittingFiles;
    "language.open": LanguageTexts;
    "queue.poll": QueueState;
    "queue.remove": QueueState;
    "queue.restore": QueueState;
    "queue.next": QueueState;
    "queue.stop": QueueState;
    "queue.dismiss": QueueState;
    "mix.apply": MixResult;
    "mix.compare": MixResult;
    "mix.unload": MixResult;
    "mix.effects": EffectsResult;
    "mix.load_engaged": EngagedMerge;
    "mix.stop": EmptyRequest;
    "mix.stop_previews": EmptyRequest;
    "mix.progress": MixProgress;
    "mix.save_preset": PresetsResult;
    "mix.import_presets": PresetsResult;
    "mix.rename_preset": PresetsResult;
    "mix.delete_preset": PresetsResult;
    "mix.numbers": NumbersResult;
    "mix.save": QueueState;
    "mix.saved": SaveResult;
    "mix.further_picture": FurtherResult;
    "mix.keep": EmptyRequest;
    "mix.resume": ResumedDesk;
    "mix.set_up": ListsAndFields;
    "mix.picture": KeptPicture;
    "mix.cards": KeptCards;
    "mix.keep_cards": EmptyRequest;
    "weights.open": WeightsOptions;
    "weights.test": RulesResult;
    "weights.copy": RulesResult;
    "methods.open": MethodCards;
    "methods.choose": MethodChoice;
    "report.open": ReportOptions;
    "report.compare": Report;
    "report.plot": Plot;
    "report.check": HealthResult;
    "report.progress": ReportProgress;
    "report.stop": EmptyRequest;
    "grid.open": GridOptions;
    "grid.save_axes": AxesList;
    "grid.delete_axes": AxesList;
    "grid.plan": GridSummary;
    "grid.start": GridStarted;
    "grid.map": GridStarted;
    "grid.add": QueueState;
    "grid.resume": GridStarted;
    "grid.stop": GridStopped;
    "grid.poll": GridUpdate;
    "grid.load_cell": CellSetup;
    "grid.picture": GridFile;
    "grid.sheet": GridFile;
    "grid.table": GridFile;
    "grid.row": GridFile;
    "search.open": SearchMenu;
    "search.plan": SearchPlanned;
    "search.start": SearchUpdate;
    "search.add": QueueState;
    "search.go_on": SearchUpdate;
    "search.pause": SearchUpdate;
    "search.stop": SearchUpdate;
    "search.show": SearchUpdate;
    "search.poll": SearchUpdate;
    "search.take": CellSetup;
    "search.picture": TrialPicture;
    "search.reference": ReferenceName;
    "search.eye": EyeView;
    "search.eye_click": EyeView;
    "search.eye_back": EyeView;
    "history.list": HistoryResult;
    "history.star": HistoryResult;
    "history.rename": HistoryResult;
    "history.delete": HistoryResult;
    "history.undelete": HistoryResult;
    "history.load": PageSetup;
    "history.paste": PageSetup;
    "history.apply": HistoryResult;
    "history.save": QueueState;
  }
}
