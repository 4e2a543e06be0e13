"""`kb new`: a commented file to start from. It loads; `kb check` and `kb test` then say what is still missing."""

from __future__ import annotations

import re
from pathlib import Path

from nandoctor.errors import UsageError
from nandoctor.kb.schema import did_you_mean

FOLDERS = {"cause": "causes", "observation": "observations", "remedy": "remedies"}
_ID = re.compile(r"[a-z0-9][a-z0-9_.-]*")

_CAUSE = """\
# A cause: what broke the run. Every text in three languages; a missing one falls back to English and is reported.
id: {id}
title:
  en: {title}
  zh: ''
  ko: ''
summary:
  # What happens, how it looks, and what tells it from its look-alikes. Two to four sentences.
  en: >-
    TODO
  zh: ''
  ko: ''
prior: rare                    # rare .01, uncommon .03, common .1, very common .3, or a number
shows:
  # Only what the cause influences. never .005 (with `because`), rarely .1, sometimes .4, often .7, almost always .9, or
  # a number. The states of one observation add up to at most 1; what is left unsaid follows the background.
  - {{observation: nan_onset, state: later, how_often: often}}
  - {{observation: loss_before_nan, state: falling, how_often: often}}
  - {{observation: zero_lr_effect, state: still_nan, how_often: never, because: TODO}}
remedies:
  # The most specific first. `masks: true` hides the fault instead of curing it.
  - {{use: find-first-nonfinite, efficacy: often}}
claims: []                     # popular claims that are false or conditional: - claim: {{...}}, truth: {{...}}
sources: []                    # owner/project#123, a paper, a page
cases:
  # At least one in which it must be found, and one look-alike in which it must not.
  - title: TODO
    observations: {{nan_onset: later, loss_before_nan: falling}}
    describe: ''               # words of an owner, if they matter
    expect: first              # first, top3, not first, below 5 %
  - title: TODO, a look-alike
    observations: {{nan_onset: first_iteration}}
    expect: below 5 %
"""

_OBSERVATION = """\
# An observation: what a file, an answer or an experiment can tell. Quote 'yes' and 'no'.
id: {id}
kind: setup                    # course (of the run), setup, experiment (costs a run), clue (never asked)
title:                         # a short noun phrase, as in a list of evidence
  en: {title}
  zh: ''
  ko: ''
question:                      # leave it out for a clue
  en: TODO?
  zh: ''
  ko: ''
minutes: 0.5                   # of the owner's time
answerable: 0.7                # how often an owner can answer at once
normal: 'no'                   # the unremarkable state
# group: name                  # observations that tell the same thing twice share a group and count once
# applies_when: {{architecture: [transformer]}}   # it is asked only if this may be so
states:                        # the backgrounds add up to one: how often, in runs of unknown fault
  - id: 'yes'
    background: 0.1
    label: {{en: 'yes', zh: 是, ko: 예}}
    phrases: {{en: [], zh: [], ko: []}}   # words of owners that mean this; one spelling is enough
  - id: 'no'
    background: 0.9
    label: {{en: 'no', zh: 否, ko: 아니요}}
find_out:                      # how does one find out?
  en: TODO
  zh: ''
  ko: ''
"""

_REMEDY = """\
# A remedy: a fix, or an experiment that tells causes apart.
id: {id}
kind: fix                      # or experiment; then add `asks`: the observation that it answers
title:
  en: {title}
  zh: ''
  ko: ''
steps:                         # one to four short imperative sentences for everybody: no names of one framework
  - en: TODO
    zh: ''
    ko: ''
# steps_in:                    # what only holds in one framework; it is shown after the steps for everybody
#   caffe:
#   - {{en: ..., zh: ..., ko: ...}}
minutes: 10                    # of work and waiting, until one knows
verify:                        # how the next log shows that it worked
  en: TODO
  zh: ''
  ko: ''
edits: []                      # of Caffe files, if they are right for every net:
#  - {{file: solver, action: scale, path: base_lr, factor: 0.1}}
snippets: {{}}                   # caffe, pytorch, lightning, hf, keras, jax: code that runs
masks: false                   # true: it hides the fault, whatever the cause
# harm: {{en: ..., zh: ..., ko: ...}}   # side effects
sources: []
"""

_TEMPLATES = {"cause": _CAUSE, "observation": _OBSERVATION, "remedy": _REMEDY}


def write_template(kind: str, name: str, folder: Path) -> Path:
    """Writes `folder`/<kind>s/<name>.yaml and returns it.

    Raises:
        UsageError: an unknown kind, no valid id, or the file is there already.
    """
    if kind not in FOLDERS:
        raise UsageError(f"unknown kind `{kind}`{did_you_mean(kind, FOLDERS) or ': cause, observation or remedy'}")
    if not _ID.fullmatch(name):
        raise UsageError(f"`{name}` is no id: lower-case letters, digits, `-`, `_` and `.`")
    path = folder / FOLDERS[kind] / f"{name}.yaml"
    if path.exists():
        raise UsageError(f"{path} is there already")
    title = re.sub(r"[-_.]+", " ", name).strip().capitalize()
    text = _TEMPLATES[kind].format(id=name, title=title)
    if (folder / "schema").is_dir():
        text = f"# yaml-language-server: $schema=../schema/{kind}.json\n{text}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise UsageError(f"{path} cannot be written: {exc.strerror}") from None
    return path
