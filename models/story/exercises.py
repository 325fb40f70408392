"""Exercises in reading back: words to repeat, small facts to look up, one-sentence stories.

A small model learns to follow the names in a request only after it has found out how to copy from its context. In stories
few tokens ask for that; here nearly all do, so that it is learned in a fraction of the time.
"""

from grammar import expand, maybe
from stories import KINDS, cast, invented_name
from words import BOYS, COLOURS, GIRLS, PLACES, THINGS, TRAITS


def any_word(random):
    """One word or name of any list."""
    words = random.choice([KINDS, THINGS, GIRLS, BOYS, TRAITS, COLOURS, None])
    return invented_name(random) if words is None else random.choice(words)


def echo(random, held_out):
    """Words to repeat, in one or several turns."""
    words = [any_word(random) for _ in range(random.randint(3, 16))]
    phrase = random.choice([" ", " ", ", "]).join(words)
    question = random.choice(["Repeat: ", "Say: ", "Repeat after me: ", "Please say: ", "Say this again: "])
    return question + phrase, phrase


def recall(random, held_out):
    """Facts about two to four characters, then a question about one of them."""
    people, told = [], set()
    for _ in range(random.randint(2, 4)):
        slots = cast(random, held_out)
        if told.isdisjoint((slots["name"], slots["kind"], slots["thing"], slots["place"])):
            told.update((slots["name"], slots["kind"], slots["thing"], slots["place"]))
            people.append(slots)
    lines = [expand(random, "{$name the $kind has a $thing.|$name is a $kind with a $thing.|the $kind $name owns a $thing.}", slots) for slots in people]
    asked = random.choice(people)
    question, answer = random.choice([
        ("who has the $thing?", "{$name the $kind.|$name has the $thing.}"), ("what does $name have?", "{a $thing.|$name has a $thing.}"),
        ("what is $name?|what kind of animal is $name?|who is $name?", "{$name is a $kind.|a $kind.}"), ("what is the name of the $kind?|who is the $kind?", "{$name.|the $kind is called $name.}"),
        ("what does the $kind have?", "{a $thing.|the $kind has a $thing.}"),
    ])
    return " ".join(lines) + " " + expand(random, "{" + question + "}", asked), expand(random, answer, asked)


def one_sentence(random, held_out):
    """A story of one or two sentences that names everything in the request."""
    slots = cast(random, held_out)
    question, answer = random.choice([
        ("a $trait $kind named $name and a $thing", "{once there was|there was} a $trait $kind named $name who {had|found|loved} a $thing.|$name was a $trait $kind. $he had a $thing."),
        ("$name the $kind and $fname the $fkind", "$name the $kind and $fname the $fkind were friends.|$name was a $kind, and $fname was a $fkind. $name and $fname {played|lived} $prep a $place."),
        ("a $kind, a $thing and a $place", "$prep a $place there was a $kind with a $thing. the $kind {liked|loved} the $thing."),
        ("a $trait $kind and a $colour $thing", "the $trait $kind had a $colour $thing. \"{I love|this is} my $colour $thing,\" said the $trait $kind."),
        ("$name, a $trait $kind $prep a $place", "$name was a $trait $kind who lived $prep a $place. {everyone|all} $prep the $place liked $name the $kind."),
    ])
    return (expand(random, "{tell me|write|give me} {one sentence|a one sentence story|a sentence} about " + question + "{.|}", slots),
            expand(random, "{" + answer + "}", slots))


def exercise(random, held_out):
    """One to four exercises as one conversation."""
    messages = []
    for _ in range(random.choice([1, 2, 3, 4])):
        question, answer = random.choice([echo, echo, recall, recall, one_sentence])(random, held_out)
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": messages}
