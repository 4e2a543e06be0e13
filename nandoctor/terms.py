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
    r"|(?<!no )(?:fix(?:es|ed)|solv(?:es|ed)|cur(?:es|ed)|help(?:s|ed)|resolv(?:es|ed)|avoids?|prevents?"
    r"|stabili[sz]e[sd]?)"
    r"|no (?:more |longer |such )?(?:nans?|problems?|issues?|trouble|explosion|divergence)|never"
    r"|no longer (?:diverg\w+|explod\w+|blows? up|goes to nan|crash\w*|runs away)"
    r"|without (?:any |a )?(?:nans?|problems?|trouble|issues?)"
    r"|(?:nans? |it )?(?:is |are )?(?:gone|disappear(?:s|ed)?|vanish(?:es|ed)?)|go(?:es)? away|gets? past"
    r"|nans? (?:does not|doesn't|don't|never) (?:come|occur|appear|happen)\w*|perfectly normal)\b"
    r"(?! ?(?:until|till|for (?:a|some|the first|about|several)|at first|in the beginning|but (?:then|later|after|nan)"
    r"|and then|help|change|matter|fix|solve|work))"
    rf"(?!{_CHAR}{{0,45}}?\b(?:then|until|till|later)\b{_CHAR}{{0,15}}?\bnan\b)"
)

TERMS = {
    "num": _NUMBER,
    "big": _BIG,
    "gap": rf"{_CHAR}{{0,40}}?",  # within a sentence
    "near": rf"{_NEAR_CHAR}{{0,25}}?",  # within a clause
    "sep": r"(?:,|;|->|=>|\.\.+| then| and| to| up to| next| finally|\s)+",
    "lr": r"(?:lr0?|learning[ _-]?rates?|base_lr|learningrate)",
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
        r"(?:(?:changes|changed|makes?|made|has|had|any|did|does|is|was|are|it|of|at|all|a|the|me|training|loss) )*"
        r"(?:(?:no|not|never|doesn't|doesnt|didn't|didnt|don't|nothing|neither|without|hardly)\b"
        r"(?: (?!come|occur|go)\w+){0,2}?"
        r" (?:help\w*|chang\w*|effects?|use|luck|differ\w*|matter\w*|work\w*|sol\w+|fix\w*|cur\w+|improve\w*"
        r"|anything|thing|good|influence)\b"
        r"|(?:useless|irrelevant|in vain|neither|nothing|(?:the )?same(?: (?:thing|result|story|problem|issue))?)"
        r"(?= *(?:[.,;)!]|$)))"
    ),
    # Chinese and Korean
    "zlr": r"(?:学习率|学习速率|learning rate|lr)",
    "zgap": r"[^。;!?\n]{0,14}?",
    "zfine": (
        r"(?:就|能|会|则|又|都|是|也|可以|一切|完全|训练|收敛|跑|得|很)*"
        r"(?:正常|没事|没问题|没有问题|好了|就好|可以了|能收敛|收敛|稳定|不会再?(?:出现)? ?nan|不再|没有 ?nan|没nan"
        r"|解决|不会出现)"
    ),
    "zvain": (
        r"(?:不行|没用|没有用|无效|没有?效果|没有?变化|还是|依然|仍|一样|无济于事|不管用|不起作用"
        r"|没有?作用|没有?帮助|没改善)"
    ),
    "kgap": r"[^.;!?\n]{0,14}?",
    "kfine": (
        r"(?:정상|괜찮|문제 ?(?:가|는)? ?없|잘 ?(?:학습|돌아|됩|되|수렴|돼)|해결|사라|안 나|나지 않|나오지 않"
        r"|수렴|멀쩡|안정)"
    ),
    "kvain": r"(?:똑같|소용|그대로|여전히|마찬가지|효과 ?(?:가)? ?없|변화 ?(?:가)? ?없|달라지지|nan)",
}
_NAME = re.compile(r"\{([a-z]+)\}")


def expanded(expression: str) -> str:
    """The expression with the terms in place of their names."""
    return _NAME.sub(lambda match: f"(?:{TERMS[match[1]]})" if match[1] in TERMS else match[0], expression)
