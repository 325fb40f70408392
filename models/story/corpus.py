"""The corpus: conversations and plain stories, drawn from a seed. Usage: corpus.py SEED COUNT [held-out] > FILE.jsonl

A document is `{"messages": [{"role", "content"}, ...]}` or `{"text": story}`. The same seed gives the same documents.
"""

import json
import sys
from random import Random

from chats import EXCHANGES, identity, mood, their_name
from grammar import expand, maybe
from stories import PLOTS, cast, person, tell, tell_short
from words import ANIMALS, TRAITS

ASK = ("{tell me|tell me|tell me|write|write me|make up|can you tell me|could you tell me|please tell me|please write|can you write|i want|i want to hear|"
       "i would like|give me|let me hear|tell us|how about|do you know} {a|a|a|a {little|nice|bedtime|good|new|funny|children's|sweet|lovely}} {story|story|story|tale}")
ASK_SHORT = "{tell me|write|give me|i want|can you tell me|please tell me|make up} a {short|very short|quick|tiny} {story|tale}"
# What a request may say: each line fixes other parts of the story.
ABOUT = [
    "about a $trait $kind and a $thing", "about a $trait $kind and a $thing", "about a $kind and a $thing", "about a $trait $kind",
    "about a $kind", "about a $kind {named|called} $name", "about a $trait $kind {named|called} $name", "about $name the $kind",
    "about $name the $kind and {$his|a} $thing", "about a $kind {named|called} $name and a $colour $thing", "about a $kind with a $thing",
    "about a $trait $kind who {has|finds|loves} a $thing", "about a $kind $prep a $place", "about a $trait $kind $prep a $place",
    "about a $kind who lives $prep a $place", "about a $kind, a $thing and a $place", "with a $kind, a $thing and a $fkind",
    "about a $kind and a $fkind", "about a $trait $kind and $his friend, a $fkind", "about two friends, a $kind and a $fkind",
    "about $name the $kind and $fname the $fkind", "about a $kind named $name and a $fkind named $fname", "with a $trait $kind and a $thing in it",
    "about $name", "about $name and a $thing", "about a {girl|boy} {named|called} $name", "", "about a $thing", "about a $colour $thing",
    "about a $trait $kind {named|called} $name who lives $prep a $place", "about a $kind and a $colour $thing $prep a $place",
    "about $theme", "about $theme", "about a $kind and $theme", "about a $trait $kind that is about $theme", "for {children|kids|my daughter|my son|my little {brother|sister}} about a $kind and a $thing",
]
SYSTEMS = ["You are a helpful assistant.", "You tell stories to children.", "You are a kind storyteller.", "Answer in simple words.", "You are a friendly assistant.",
           "You are a small model that tells stories.", "Be kind and helpful.", "You are Story.", "Tell short stories and answer simple questions.", "Be brief."]


def typed(random, text):
    """The text as people type it: sometimes without capitals or a final mark."""
    if maybe(random, 0.25):
        text = text.lower()
    if maybe(random, 0.3):
        text = text.rstrip(".?!")
    if maybe(random, 0.06):
        text += random.choice([" please", " :)", "!", "!!", " thanks"])
    return text


def turn(question, answer):
    """One question and its answer as two messages."""
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def draw_story(random, held_out):
    """What the story is about: its slots and plot; a `girl` or `boy` in the request fits the name's pronoun."""
    slots, plot = cast(random, held_out), random.choice(list(PLOTS))
    slots["theme"] = expand(random, random.choice(PLOTS[plot]["themes"]), slots).lower()
    return slots, plot


def ask_story(random, slots, ask=ASK):
    """A request, and what it fixes about the hero's kind."""
    about = random.choice(ABOUT)
    slots["colour_asked"] = "$colour" in about
    if "{girl|boy}" in about:
        slots["kind"] = "girl" if slots["he"] == "she" else "boy"
        about = about.replace("{girl|boy}", "$kind")
    if ask is ASK and maybe(random, 0.08):
        ask, about = "", about.removeprefix("about ") if about.startswith("about a ") else about
        return expand(random, f"{{story|a story|story time:}} {about}" if about.startswith(("about", "with", "for")) or not about else f"{{a story about|story about|story:}} {about}", slots)
    return expand(random, f"{ask} {about}{{.|.|?|}}", slots)


def story(random, held_out):
    """A request and the story, then often something that follows from it."""
    slots, plot = draw_story(random, held_out)
    short = maybe(random, 0.2)
    question = ask_story(random, slots, ASK_SHORT if short else ASK)
    messages = turn(question, (tell_short if short else tell)(random, slots, plot))
    if maybe(random, 0.5):
        for follow in random.sample(FOLLOW_UPS, random.choice([1, 1, 2, 3])):
            messages += follow(random, held_out, slots, plot)
    return messages


def shorter(random, held_out, slots, plot):
    question = expand(random, "{make it shorter|shorter{, please|}|can you make it shorter|tell it {again |}in {a few words|three sentences|short}|{please |}sum it up|make the story shorter|a shorter version{, please|}|{can you |}summarize it}{.|}")
    return turn(question, tell_short(random, slots, plot))


def longer(random, held_out, slots, plot):
    question = expand(random, "{make it longer|longer{, please|}|can you make it longer|tell it again{, but longer|}|tell me the {whole|long} story|a longer version{, please|}|again{!|, please|}}{.|}")
    return turn(question, tell(random, slots, plot))


def sequel(random, held_out, slots, plot):
    question = expand(random, "{what happened next|and then|what {happened|came} {then|after that}|go on|continue|{please |}continue the story|tell me more|how does it go on|more}{?|.|}")
    return turn(question, expand(random, PLOTS[plot]["sequel"], slots))


def lesson(random, held_out, slots, plot):
    question = expand(random, "{what is the {moral|lesson}{ of the story|}|what can {we|I} learn from {it|this|the story}|what does the story teach{ us|}|{and |}the moral}{?|}")
    return turn(question, expand(random, PLOTS[plot]["lesson"] + ".", slots))


def detail(random, held_out, slots, plot):
    question, answer = random.choice([
        ("{what was the name of the $kind|what was the $kind called|who was the hero|who is the story about|what is the hero's name}?", "{$his name was $name.|$name the $kind.|the $kind was called $name.}"),
        ("where did {$name|the $kind} live?|where {does the story happen|did this happen}?", "{$he lived|$name lived} $prep a $place."),
        ("who {was $name's friend|helped|else is in the story|is $fname}?|{and |}the friend?", "{it was $fname the $fkind.|$fname was a $fkind.|$fname the $fkind.}"),
        ("what {kind of animal|animal|} {was|is} $name?|what is $name?|who is $name?", "$name {was|is} a {$trait |}$kind."),
        ("what {happened|did $name do|is the story about}?|what was it about?", PLOTS[plot]["answer"]),
        ("{what was special{ in the story|}|which thing was important|what thing is in the story|what did $name have}?", "{it was the $thing.|a $thing.|there was a $thing in the story.}"),
    ])
    return turn(expand(random, "{" + question + "}", slots), expand(random, answer, slots))


def title(random, held_out, slots, plot):
    question = expand(random, "{give it a title|what is the title{ of the story|}|what is it called|find a {title|name} for {it|the story}|title}{.|?|}")
    return turn(question, expand(random, "{$name and the ^$thing|the $trait $kind|the $kind and the $thing|$name the $trait $kind}", slots))


def renamed(random, held_out, slots, plot):
    other = person(random, slots["kind"])
    while other["name"] in (slots["name"], slots["fname"]) or other["he"] != slots["he"]:
        other = person(random, slots["kind"])
    question = expand(random, "{change the name to $name|{can you |}call {$him|the $kind} $name|use the name $name|the $kind should be called $name|tell it with the name $name}{.|}", {**slots, **other})
    slots.update(other)
    return turn(question, tell_short(random, slots, plot))


def recast(random, held_out, slots, plot):
    key = random.choice(["kind", "thing", "place", "fkind"])
    other = cast(random, held_out)
    if key == "kind":
        slots.update({part: other[part] for part in ("kind", "name", "he", "him", "his", "himself")})
        while slots["name"] == slots["fname"]:
            slots.update(person(random, slots["kind"]))
        what = "a $kind"
    elif key == "fkind":
        slots["fkind"], what = random.choice([name for name in ANIMALS if name != slots["kind"]]), "a $fkind as {the |$his |}friend"
    elif key == "place":
        slots.update({part: other[part] for part in ("place", "prep", "spot", "spot2")})
        what = "a $place"
    else:
        slots["thing"], what = other["thing"], "a $thing"
    question = expand(random, f"{{now |}}{{tell it|the same|again|do it|the same story|and}} with {what}{{ instead|}}{{.|, please.|}}", slots)
    return turn(question, tell_short(random, slots, plot))


def another(random, held_out, slots, plot):
    new, new_plot = draw_story(random, held_out)
    question = expand(random, "{another one|one more|another story|tell me another{ story| one|}|a new one|a different one|next story|yes}{, please|}{.|!|}", new)
    if maybe(random, 0.5):
        question = expand(random, "{{now |}{one|another one|another story}|and one|{now |}a story} about a {$trait |}$kind{ and a $thing|}{.|}", new)
    answer = tell(random, new, new_plot) if maybe(random, 0.4) else tell_short(random, new, new_plot)
    slots.clear()
    slots.update(new)
    return turn(question, answer)


FOLLOW_UPS = [shorter, shorter, sequel, lesson, detail, detail, detail, title, renamed, recast, longer]


def small_talk(random, held_out, most=5, without=()):
    """One to `most` exchanges that are not stories, none of them by the functions `without`."""
    functions = random.choices(list(EXCHANGES), weights=list(EXCHANGES.values()), k=random.choice([1, 1, 2, 3, most]))
    messages = []
    for function in functions:
        if function in without:
            continue
        question, answer = function(random, held_out)
        messages += turn(question, answer)
    return messages


def remembered(random, held_out):
    """A name that is told first and asked for later."""
    question, answer = their_name(random, held_out)
    name = question.rstrip(".!").split()[-1]
    between = small_talk(random, held_out, 2, (their_name, mood, identity)) if maybe(random, 0.7) else []
    if maybe(random, 0.3):
        between = story(random, held_out)[:2]
    ask = expand(random, "{what is my name|do you know my name|who am I|what's my name|can you remember my name|what was my name{ again|}}?")
    return turn(question, answer) + between + turn(ask, expand(random, "{your name is|you are|you told me that your name is} $name.", {"name": name}))


def offered(random, held_out):
    """A greeting, an offer, and a yes."""
    messages = turn(expand(random, "{hi|hello|hey}{!|}"), expand(random, "{hello|hi}! {would you like to hear a story?|shall I tell you a story?}"))
    slots, plot = draw_story(random, held_out)
    if maybe(random, 0.7):
        about = random.choice(["about a $trait $kind", "about a $kind and a $thing", "", "", "with a $kind"])
        return messages + turn(expand(random, f"{{yes|yes please|yes, please|sure|ok|okay|please do|of course}}{{.|!|,|}} {about}", slots).rstrip(","), tell(random, slots, plot))
    return messages + turn(expand(random, "{no|no thanks|no, thank you|not now}{.|}"), expand(random, "{all right|okay}. {what would you like to do?|what can I do for you?|you can ask me something else.}"))


def conversation(random, held_out):
    """The messages of one document."""
    kind = random.random()
    if kind < 0.52:
        messages = story(random, held_out)
        if maybe(random, 0.2):
            slots, plot = draw_story(random, held_out)
            messages += another(random, held_out, slots, plot)
    elif kind < 0.80:
        messages = small_talk(random, held_out)
    elif kind < 0.86:
        messages = remembered(random, held_out)
    elif kind < 0.90:
        messages = offered(random, held_out)
    else:
        messages = small_talk(random, held_out, 3) + story(random, held_out) + (small_talk(random, held_out, 2) if maybe(random, 0.5) else [])
    for message in messages[::2]:
        message["content"] = typed(random, message["content"])
    if maybe(random, 0.12):
        messages = [{"role": "system", "content": random.choice(SYSTEMS)}] + messages
    return messages


def document(random, held_out=False):
    """One document: nine in ten are conversations, the others plain stories."""
    if maybe(random, 0.1):
        slots, plot = draw_story(random, held_out)
        return {"text": (tell if maybe(random, 0.75) else tell_short)(random, slots, plot)}
    messages = conversation(random, held_out)
    while maybe(random, 0.12) and len(messages) < 24:  # long talks, so that late positions are trained too
        messages += [message for message in conversation(random, held_out) if message["role"] != "system"]
    if maybe(random, 0.03):
        for _ in range(4):
            messages += [message for message in conversation(random, held_out) if message["role"] != "system"]
    return {"messages": messages}


def main():
    seed, amount = int(sys.argv[1]), int(sys.argv[2])
    random = Random(seed)
    for _ in range(amount):
        print(json.dumps(document(random, "held-out" in sys.argv)))


if __name__ == "__main__":
    main()
