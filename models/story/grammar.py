"""A small text grammar: choices in braces, slots with a dollar sign, and the spelling rules that follow from them.

`{a|b|c}` picks one branch (branches nest, an empty one is allowed), `$name` or `$name;` is replaced by a slot's value.
Afterwards sentences begin with a capital, `^` forces one, and `a` becomes `an` before a vowel.
"""

import re

CHOICE = re.compile(r"\{([^{}]*)\}")
SLOT = re.compile(r"\$(\w+);?")
ARTICLE = re.compile(r"\b([Aa]) (?=[aeiouAEIOU]|honest|hour\b)(?!uni|use|one\b|euro)")
START = re.compile(r'(^|[.!?]\s+|\."\s+|(?:^|\s)"|\^)([a-z])')
SPEECH = "said|asked|cried|called|shouted|whispered|thought|wondered|told"
AFTER_SPEECH = re.compile(rf'([!?]"\s+)(?!(?:{SPEECH})\b)(?!(?:he|she|it|they) (?:{SPEECH})\b)([a-z])')


def expand(random, template, slots=None):
    """Returns `template` with every choice drawn from `random` and every slot filled from `slots`."""
    text, changed = template, 1
    while changed:
        text, changed = CHOICE.subn(lambda match: random.choice(match.group(1).split("|")), text)
    return spell(fill(text, slots or {}))


def fill(text, slots):
    """Replaces slots; values may name slots in turn, two levels deep at most."""
    for _ in range(3):
        if "$" not in text:
            break
        text = SLOT.sub(lambda match: str(slots[match.group(1)]), text)
    return text


def spell(text):
    """Applies the rules for articles, spaces and capitals."""
    text = re.sub(r"[ \t]+", " ", text).strip()
    text = re.sub(r" ([,.!?])", r"\1", text)
    text = ARTICLE.sub(r"\1n ", text)
    text = START.sub(lambda match: match.group(1).replace("^", "") + match.group(2).upper(), text)
    text = AFTER_SPEECH.sub(lambda match: match.group(1) + match.group(2).upper(), text)
    return text.replace("^", "")


def maybe(random, chance):
    """True with the given chance."""
    return random.random() < chance
