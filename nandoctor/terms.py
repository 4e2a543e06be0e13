"""Terms that expressions of the knowledge base share: `{name}` in a `re:` phrase stands for one of them.

They are written for `wording.normalised` text. `{fine}` holds no denial before it and no "until" after it.
"""

from __future__ import annotations

import re

_NUMBER = r"(?:\d+(?:[.,]\d+)*(?:e[-+]?\d+)?|\.\d+)"
_BIG = r"(?:\d{5,}(?:\.\d+)?|\d[\d.]*e\+?\d+|\d[\d.]* ?(?:million|billion|trillion))"
_CHAR = r"(?:[^.;?!\n]|\.(?=\d))"  # within a sentence
_NEAR_CHAR = r"(?:[^.,;:?!\n]|[.,](?=\d))"  # within a clause
_NOT_BEFORE = r"(?<!not )(?<!n't )(?<!nt )(?<!never )(?<!cannot )(?<!can not )(?<!longer )(?<!neither )"
_HALF = r"(?:amp|fp16|float16|autocast|mixed[ -]precision|half[ -]precision|cudnn_half|apex|use_amp|tensor cores?)"
_CARD = (
    r"(?:v100|a100|h100|t4|p100|p40|k80|l4|a10g?|titan(?: ?x| ?v|xp)?|tesla|quadro|tpu|cpu|colab|kaggle"
    r"|(?:gtx|rtx|geforce)(?: ?\d{3,4}(?: ?ti| ?super)?)?|[1-5]0[5-9]0(?: ?ti)?)"
)
_OTHER = r"(?:other|another|second|different|older|old|newer|new|previous|friend's|colleague's|bigger)"
_FINE = (
    rf"{_NOT_BEFORE}(?:(?<!no )(?:works?|worked|working|trains?|trained|converges?|converged|runs?|ran|stable|ok|okay"
    r"|fine|perfect(?:ly)?|survives?|good|normal(?:ly)?|smooth(?:ly)?|well)"
    r"|(?<!no )(?:fix(?:es|ed)|solv(?:es|ed)|cur(?:es|ed)|help(?:s|ed)|resolv(?:es|ed)|avoids?|prevents?|stabili[sz]e[sd]?)"
    r"|no (?:more |longer |such )?(?:nans?|problems?|issues?|trouble|explosion|divergence)|never"
    r"|without (?:any |a )?(?:nans?|problems?|trouble|issues?)"
    r"|(?:nans? |it )?(?:is |are )?(?:gone|disappear(?:s|ed)?|vanish(?:es|ed)?)|go(?:es)? away|gets? past"
    r"|nans? (?:does not|doesn't|don't|never) (?:come|occur|appear|happen)\w*|perfectly normal)\b"
    r"(?! ?(?:until|till|for (?:a|some|the first|about|several)|at first|in the beginning|but (?:then|later|after|nan)"
    r"|and then|help|change|matter|fix|solve|work))"
)

TERMS = {
    "num": _NUMBER,
    "big": _BIG,
    "gap": rf"{_CHAR}{{0,40}}?",
    "near": rf"{_NEAR_CHAR}{{0,25}}?",
    "sep": r"(?:,|;|->|=>|\.\.+| then| and| to| up to| next| finally|\s)+",
    "lr": r"(?:lr|learning[ _-]?rates?|base_lr|learningrate)",
    "less": (
        r"(?:lower\w*|small(?:er)?|reduc\w+|decreas\w+|tiny|divid\w+|dropp?\w*|cut\w*|halv\w+|tenth|low|10x less"
        r"|ten times|turn\w* down)"
    ),
    "half": _HALF,
    "full": (
        r"(?:fp32|float32|full[ -]precision|single[ -]precision|precision ?= ?['\"]?32|32[ -]bit|bf16(?: ?= ?true)?"
        rf"|bfloat16|\bo0|(?:without|no|disabl\w+|remov\w+|turn\w* off|switch\w* off|not using) (?:the |--)*{_HALF}"
        rf"|(?:turn\w*|switch\w*) (?:the )?{_HALF} off"
        rf"|(?:use_)?{_HALF} ?(?:=|:|is|are|turned|switched|set to|to)* ?(?:off|false|0|disabled|none))"
    ),
    "elsewhere": (
        rf"(?:(?:on|with|using|under|in) (?:the |a |an |my |our |one |same |device ?= ?|--device (?:of )?)*['\"]?"
        rf"(?:{_CARD}|{_OTHER} (?:gpu|card|machine|server|pc|computer|laptop|box|workstation|framework|version\w*)"
        r"|linux|windows|ubuntu)['\"]?|device ?= ?['\"]?cpu['\"]?|(?:an |the )?(?:older|previous|earlier) version\w*)"
    ),
    "nan": r"(?:-?nan|-?inf(?:inite|inity)?)",
    "bad": r"(?:-?nan|-?inf(?:inite|inity)?|87\.33\d*|explod\w+|diverg\w+|blow\w* up|blew up|goes wild|overflow\w*)",
    "unit": r"(?:iteration|iter|itr|step|batche?|mini-?batche?|update)s?",
    "fine": _FINE,
    "not": r"(?:no|not|never|without|doesn't|does not|did not|didn't|don't|do not|n't|cannot|can't|nothing)",
    "useless": (
        r"(?:(?:no|not|never|doesn't|didn't|don't|does|did|changes?|changed|makes?|made|has|had|without|any|little|is|was"
        r"|are|of|it|at|all|a|the|me) )*(?:no|not|never|doesn't|doesnt|didn't|didnt|don't|nothing|neither|useless|in vain"
        r"|irrelevant|same|without)\b(?: \w+){0,2}?(?: (?:help\w*|chang\w*|effects?|use|luck|differ\w*|matter\w*|work\w*"
        r"|sol\w+|fix\w*|cur\w+|improve\w*|anything|thing|result|story|problem|issue|good|difference|influence)|(?= *[.,;)!]|$))"
    ),
}
_NAME = re.compile(r"\{([a-z]+)\}")


def expanded(expression: str) -> str:
    """The expression with the terms in place of their names."""
    return _NAME.sub(lambda match: f"(?:{TERMS[match[1]]})" if match[1] in TERMS else match[0], expression)
