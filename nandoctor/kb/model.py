"""The knowledge model: what the files under `knowledge/` say, as frozen structs.

One entity a file, file name = id. Logic in YAML has three forms and no more: a regular expression with samples, the
name of a detector with parameters, a comparison over fields. Every text for people is a language map.
"""

# Without postponed annotations: msgspec would evaluate each of 200 strings when the knowledge is decoded.

from typing import Annotated, Literal

import msgspec

Id = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
Link = str  # an id defined elsewhere: `kb check` looks it up, so its form is not checked at every start
Probability = Annotated[float, msgspec.Meta(gt=0, lt=1)]

# The words and what they mean in the arithmetic. `never` is not zero: one mistaken answer must not kill the truth.
FREQUENCY = {"never": 0.005, "rarely": 0.1, "sometimes": 0.4, "often": 0.7, "almost always": 0.9}
PRIOR = {"rare": 0.01, "uncommon": 0.03, "common": 0.1, "very common": 0.3}

FrequencyWord = Literal["never", "rarely", "sometimes", "often", "almost always"]
PriorWord = Literal["rare", "uncommon", "common", "very common"]
LANGUAGES = ("en", "zh", "ko")


class _Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Text(_Struct, frozen=True):
    """A text for people in each language; a missing translation falls back to English."""

    en: str
    zh: str = ""
    ko: str = ""

    def get(self, lang: str) -> str:
        """The text in `lang`, or in English."""
        return (getattr(self, lang, "") if lang in LANGUAGES else "") or self.en


class Phrases(_Struct, frozen=True):
    """Words of owners that mean this, per language; matched fuzzily, so one spelling is enough."""

    en: tuple[str, ...] = ()
    zh: tuple[str, ...] = ()
    ko: tuple[str, ...] = ()


# --- causes


class Shows(_Struct, frozen=True):
    """How often the cause shows a state of an observation."""

    observation: Link
    state: Link
    how_often: FrequencyWord | Probability
    because: str = ""  # compulsory for `never`

    @property
    def probability(self) -> float:
        """The word as a number."""
        return FREQUENCY[self.how_often] if isinstance(self.how_often, str) else self.how_often


class RemedyUse(_Struct, frozen=True):
    """A remedy of a cause. `efficacy`: how often it cures this cause. `masks`: hides the symptom, does not cure."""

    use: Link
    efficacy: FrequencyWord | Probability = "often"
    masks: bool = False

    @property
    def probability(self) -> float:
        """The word as a number."""
        return FREQUENCY[self.efficacy] if isinstance(self.efficacy, str) else self.efficacy


class Claim(_Struct, frozen=True):
    """A popular claim and what is true of it."""

    claim: Text
    truth: Text


class Expectation(_Struct, frozen=True):
    """An embedded case: given observations (and words), where the cause must come out."""

    title: str
    observations: dict[str, str] = {}
    describe: str = ""
    expect: Literal["first", "top3", "not first", "below 5 %"] = "first"


class Cause(_Struct, frozen=True):
    """A hypothesis about what broke the run. `fault: false` for healthy and benign-nan."""

    id: Id
    title: Text
    summary: Text
    prior: PriorWord | Probability
    shows: tuple[Shows, ...]
    remedies: tuple[RemedyUse, ...] = ()
    claims: tuple[Claim, ...] = ()
    fault: bool = True
    sources: tuple[str, ...] = ()
    checklist: tuple[int, ...] = ()  # numbers of the source claims this file covers
    cases: tuple[Expectation, ...] = ()

    @property
    def prior_probability(self) -> float:
        """The word as a number."""
        return PRIOR[self.prior] if isinstance(self.prior, str) else self.prior


# --- observations


class State(_Struct, frozen=True):
    """One answer to an observation.

    `implied_by`: observation -> states; where one of them is held, this state adds nothing (a loss that is NaN from the
    first iteration has a non-finite first value) and does not count.
    `excluded_by`: observation -> states; where one of them is held, this state is impossible, and the other states of
    its observation share what it had (a loss that was finite at first has no non-finite first value).
    """

    id: Id
    label: Text  # as a choice: short
    background: Probability  # how often, in runs of unknown fault; the states of one observation add up to one
    means: Text | None = None  # only where the label could be misread
    phrases: Phrases = Phrases()
    implied_by: dict[str, tuple[str, ...]] = {}
    excluded_by: dict[str, tuple[str, ...]] = {}


class Observation(_Struct, frozen=True):
    """A discrete thing that a file, an answer or an experiment can tell.

    `kind`: `course` is owed to the fault that strikes first; `setup` is shown by every member of a fault set;
    `experiment` costs a run; `clue` is never asked (only files, free words).
    `minutes`: of the owner's time to answer. `normal`: the unremarkable state. `describes`: whether it is about the
    set-up (every fault of a set shows in it) or the run (owed to the fault that strikes first); "" follows `kind`, and
    for a clue means the run. `answerable`: how often an owner can answer the question at once.
    """

    id: Id
    kind: Literal["course", "setup", "experiment", "clue"]
    title: Text  # short noun phrase for evidence lists: "loss before the NaN"
    states: tuple[State, ...]
    normal: Link
    question: Text | None = None  # None: never asked
    minutes: Annotated[float, msgspec.Meta(ge=0)] = 0.3
    group: str = ""  # dependent observations share a group and count once
    describes: Literal["", "run", "setup"] = ""
    answerable: Probability = 0.7
    applies_when: dict[
        str, tuple[str, ...]
    ] = {}  # asked only if each named observation has (or may have) one of these states
    find_out: Text | None = None  # how do I find out? in general
    find_out_in: dict[str, Text] = {}  # per framework: caffe, pytorch, lightning, hf, keras, jax
    checklist: tuple[int, ...] = ()

    @property
    def of_setup(self) -> bool:
        """Whether every member of a fault set shows in it."""
        return (self.describes or ("setup" if self.kind == "setup" else "run")) == "setup"

    def state(self, state_id: str) -> State | None:
        """The state of that id, if there is one."""
        return next((s for s in self.states if s.id == state_id), None)


# --- remedies


class Edit(_Struct, frozen=True):
    """A change of the owner's prototxt, by field path.

    `file`: which of the two. `layer`: which layers of a net: `{check}` (the layers a check found) or a type name.
    `path`: dotted field path below the solver or the layer. `value`: text of the new value; `{old/10}` style
    arithmetic is not allowed: `scale` multiplies the present number by `factor`. `insert_*`: `value` is a whole layer.
    """

    file: Literal["solver", "net"]
    action: Literal["set", "add", "remove", "scale", "insert_after", "insert_before"]
    path: str = ""
    value: str = ""
    factor: float = 1.0
    layer: str = ""


class Remedy(_Struct, frozen=True):
    """A fix, or an experiment that tells causes apart. `minutes`: of work and waiting until one knows."""

    id: Id
    kind: Literal["fix", "experiment"]
    title: Text
    steps: tuple[Text, ...]  # for everybody: no names of one framework
    minutes: Annotated[float, msgspec.Meta(gt=0)]
    verify: Text  # how the next log shows that it worked
    steps_in: dict[str, tuple[Text, ...]] = {}  # framework -> its own steps, after those for everybody
    edits: tuple[Edit, ...] = ()
    snippets: dict[str, str] = {}  # framework -> code: caffe, pytorch, lightning, hf, keras, jax
    asks: str = ""  # experiment: the observation it answers
    masks: bool = False  # hides the fault instead of curing it, whatever the cause
    harm: Text | None = None  # side effect, if any
    sources: tuple[str, ...] = ()
    checklist: tuple[int, ...] = ()


# --- dialects


class Sample(_Struct, frozen=True):
    """A real line and what must be read from it. `reads: {}` and `match: false`: the dialect must not take it."""

    line: str
    match: bool = True
    reads: dict[str, float | str] = {}  # quantity or step -> value ("nan", "inf", "-nan" as text)
    event: str = ""


class LinePattern(_Struct, frozen=True):
    """A line of a dialect. Named groups of `regex` are quantities (`loss`, `lr`, `grad_norm`, ...), except these:

    `step`, `steps` (their number), `epoch`, `epochs`, `iter`, `iters` (within an epoch): where the line stands;
    `name` and `value`: a quantity printed with its name; `weight`: its loss weight; `mean`: its running mean beside it;
    `pairs`: the part that holds `name value` pairs; `layer`, `blob`, `phase`, `value` and so on, if `records` is set.
    In `regex` and `pairs`, `{num}` stands for a number as any program prints it (nan.0, -nan(ind), 1.#QNAN, 1E+05),
    `{open}` for what may stand in front of it (quotes, `tensor(`, `[`), `{name}` for the name of a quantity; as `pairs`
    alone: `{pair}` (`name: 1`, `name=1`), `{spaced}` (`name 1`), `{either}`, `{quoted}` (`'name': 1`).

    `needs`: a literal the line must hold (cheap test before the regex); `needs_any`: one of these, in lower case.
    `pairs`: a second regex with groups `name` and `value`, run over the rest of the line (group `pairs` if there is
    one). `roles`: name -> role where the common table (`quantities`) does not say it; names may be regular expressions.
    """

    id: Id
    regex: str
    needs: str = ""
    needs_any: tuple[str, ...] = ()
    pairs: str = ""
    roles: dict[str, str] = {}
    carries_step: bool = False  # later lines without a step of their own belong to this one's
    validation: bool = False  # losses and metrics of this line are of the validation set
    refreshes: bool = False  # a progress bar: a later line of the same step replaces the reading
    keeps: bool = False  # the bar goes on showing the last validation and epoch values until there are new ones
    step_follows: Literal["", "always", "cleared"] = ""  # the line's step is that of the next line that carries one;
    # `cleared`: only if a bar was wiped for this line (tqdm.write draws it anew, with the step, after the line)
    records: Literal["reading", "columns", "row", "layer", "layer_name", "top", "top_shape", "header", "nothing"] = (
        "reading"  # `columns`: group `rest` names the numbers of the `row` lines below (their group `rest`)
    )


class BlockPattern(_Struct, frozen=True):
    """A text inside the log, e.g. a dump of the solver: begins after the line `regex`, goes on while `line` matches."""

    id: Id
    kind: Literal["solver", "net"]
    regex: str
    line: str
    needs: str = ""


class EventPattern(_Struct, frozen=True):
    """A line that means something. `observation`/`state`: what it says to the inference, with `trust`.

    `needs`, `needs_any`: as of `LinePattern`.
    Named groups become the event's fields. `ends`: the run ends here, and how. `starts_run`: a new run begins (a file
    may hold several). `resumes`: the run starts from the snapshot named by group `checkpoint`.
    """

    id: Id
    regex: str
    needs: str = ""
    needs_any: tuple[str, ...] = ()
    observation: str = ""
    state: str = ""
    trust: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.95
    hint: bool = False  # it only suggests the state; what anybody says outright overrules it
    min_count: int = 1
    message: Text | None = None  # for people; {named groups} are filled in
    ends: Literal["", "complete", "crashed", "stopped"] = ""
    starts_run: bool = False
    resumes: bool = False
    by_digits: bool = False  # whether the line matches depends on its digits, not only on its words


class Dialect(_Struct, frozen=True):
    """How one program writes its log."""

    id: Id
    title: str
    framework: str  # whose remedies' snippets to show; "" says nothing
    lines: tuple[LinePattern, ...] = ()
    events: tuple[EventPattern, ...] = ()
    blocks: tuple[BlockPattern, ...] = ()
    samples: tuple[Sample, ...] = ()
    hints: tuple[str, ...] = ()  # literals that betray the framework wherever they stand (`site-packages/torch/`)
    generic: bool = False  # a fallback: other dialects win
    last_resort: bool = False  # its lines are tried only where no other dialect finds a loss in the whole log
    weight: float = 1.0  # in framework recognition


# --- checks of net and solver


class CheckSample(_Struct, frozen=True):
    """A net, a solver, the log of their run (any of them) on which the check must fire, or must not."""

    fires: bool
    net: str = ""
    solver: str = ""
    log: str = ""
    title: str = ""


class Check(_Struct, frozen=True):
    """A check of net or solver: either `when` (comparisons over fields) or `detector` with `params`.

    `when`: a map of `path|modifier: value`, all of which must hold for one layer (of `layer_type`, if given) or for
    the solver. Modifiers: exists, missing, eq (default), ne, gt, ge, lt, le, in, gt_field, lt_field, re.
    """

    id: Id
    severity: Literal["error", "warning", "note"]
    on: Literal["net", "solver", "both"]
    title: Text
    message: Text  # {layer}, {type}, {value}, ... are filled in from the match
    layer_type: tuple[str, ...] = ()
    when: dict[str, str | float | bool | list[str] | None] = {}
    detector: str = ""
    params: dict[str, float | str | bool] = {}
    observation: str = ""
    state: str = ""
    trust: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.995
    hint: bool = False  # it only suggests the state; what anybody says outright overrules it
    clear: str = ""  # state of the observation when the check ran and did not fire ("" = says nothing)
    causes: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()
    remedies: tuple[Link, ...] = ()  # the remedies that `edits` carry out on this very finding
    loader: str = ""  # real Caffe refuses this: the loader's message
    samples: tuple[CheckSample, ...] = ()
    checklist: tuple[int, ...] = ()


# --- texts of the program


class Message(Text, frozen=True, kw_only=True):
    """A text of the program itself, with {placeholders}. Ids may have a prefix: `seen:growing`."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_.:-]*$")]


class Messages(_Struct, frozen=True):
    """A file under `knowledge/texts/`."""

    messages: tuple[Message, ...]


class Quantity(_Struct, frozen=True):
    """What a printed name means: `names` are full-match regular expressions (case-insensitive).

    `role` is a role of `readers.facts`, or `ignore`, or says where the line stands: `step`, `epoch`, `iter` (within the
    epoch), `progress` (a fraction of epochs, used only where nothing else tells the step). `stands_in`: a metric that
    falls as the training learns, and is taken for the loss where a log prints nothing nearer to one.
    """

    role: str
    names: tuple[str, ...]
    stands_in: bool = False


class Tell(_Struct, frozen=True):
    """What it betrays that a log prints a quantity of this name: a hint, which anything said outright overrules.

    `names` as of `Quantity`. `at_least`, `at_most`: only if the last finite reading up to the NaN lies there.
    `turns`: only if the NaN's own line shows this value, and most lines before another. `first`: only if this quantity
    is not finite before any loss is.
    """

    names: tuple[str, ...]
    observation: str
    state: str
    trust: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    at_least: float | None = None
    at_most: float | None = None
    turns: float | None = None
    first: bool = False


class Quantities(_Struct, frozen=True):
    """The file `knowledge/dialects/quantities.yaml`: the common table of printed names, first match wins.

    `tells`: all that match count; of one observation the first.
    """

    quantities: tuple[Quantity, ...] = ()
    tells: tuple[Tell, ...] = ()


class KnowledgeBase(msgspec.Struct, frozen=True):
    """All knowledge, by id. Built by `kb.load`."""

    causes: dict[str, Cause]
    observations: dict[str, Observation]
    remedies: dict[str, Remedy]
    dialects: dict[str, Dialect]
    checks: dict[str, Check]
    messages: dict[str, Message]
    quantities: tuple[Quantity, ...] = ()
    tells: tuple[Tell, ...] = ()

    def text(self, message_id: str, lang: str, **args: object) -> str:
        """The program's text `message_id` in `lang`, placeholders filled in; the id itself if there is none."""
        message = self.messages.get(message_id)
        return message.get(lang).format(**args) if message else message_id
