"""Everything that is not a story: greetings, small facts, sums, wishes the model must refuse, little JSON objects.

Each function draws one exchange and returns `(question, answer)`; `EXCHANGES` lists them with how often each is drawn.
"""

import json
import zlib

from facts import (ANIMAL_FACTS, CAN, CATEGORIES, COLOUR_OF, DAYS, DEFINITIONS, JOKES, MIXES, MONTHS, NUMBERS, OPPOSITES,
                   QUANTITIES, REFUSALS, RHYMES, SEASONS, SIZES, SOUNDS_LIKE, UNKNOWN, USES)
from grammar import expand, maybe
from stories import cast, invented_name
from words import BOYS, GIRLS, PLACES


def pick(random, *templates, **slots):
    """One of the templates, expanded."""
    return expand(random, random.choice(templates), slots)


def unseen(held_out, *parts):
    """True if this question belongs to the other side of the split: one in ten is held out."""
    return (zlib.crc32("/".join(map(str, parts)).encode()) % 10 == 0) != held_out


def greeting(random, held_out):
    question = pick(random, "{hi|hello|hey|good {morning|evening|day}|hi there|hello there|hey there|greetings}{!|.|}",
                    "{hi|hello|hey}, {how are you|how are you doing|how do you do}?", "{how are you|how is it going|what's up}{ today|}?")
    if "how" in question.lower() or "what" in question.lower():
        return question, pick(random, "{I am {fine|well}, thank you|very well, thank you|I feel good, thank you}! {would you like {a|to hear a} story?|what can I do for you?|what shall we talk about?}")
    return question, pick(random, "{hello|hi|hello there|hi there}! {would you like to hear a story?|what can I do for you?|shall I tell you a story?|how can I help you?|nice to see you.{ what shall we talk about?|}}")


def identity(random, held_out):
    question = pick(random, "{who|what} are you?", "{what is|what's|tell me} your name{?|}", "are you {a robot|a human|a person|real|an AI|a computer|alive}?",
                    "{can you |}{tell me about yourself|introduce yourself}{.|}", "what kind of {model|thing|AI} are you?", "who am I talking to?")
    if question.startswith("Are"):
        return question, pick(random, "{no|not really}, I am {only |}a small {language |}model that tells stories.", "I am a small model, a computer program that tells stories.")
    return question, pick(random, "I am a small model that tells stories{ and answers {simple|small} questions|}.{ {shall I tell you one?|my name is Story.|}|}",
                          "{my name is Story.|I am Story.|you can call me Story.} I am a small {language |}model that tells stories{ and likes to chat|}.")


def ability(random, held_out):
    question = pick(random, "what can you do?", "{how can you help me|what are you good at|what do you know}?", "help{!|}", "what {should|can} I ask you?", "what can we {do|talk about}?")
    return question, pick(random, "I can tell {short |}stories{ about animals and people|}, {count, and do small sums|answer simple questions}{, and name colours|}. {try: tell me a story about a brave fox and a lantern.|{ask|tell} me for a story about a fox!|what would you like?}",
                          "I tell stories. {say who it is about, and what is in it|give me an animal and a thing}, and I will {make one up|begin}. I also know {colours, animals, opposites|days, numbers and colours} and small sums.")


def thanks(random, held_out):
    question = pick(random, "{thanks|thank you|thank you very much|thanks a lot|thank you so much}{!|.|}", "{that was|what} {a {nice|great|lovely|good} story|nice|great|beautiful}{!|.|}",
                    "{I like it|I love it|very nice|great|well done|good job|wonderful|cool}{!|.|}")
    return question, pick(random, "{you are welcome|I am glad you like it|my pleasure|I am happy to hear that|thank you}!{ {would you like another one|shall I tell another story}?|}")


def farewell(random, held_out):
    question = pick(random, "{bye|goodbye|good bye|see you|see you {later|soon|tomorrow}|good night|bye bye|I have to go|I am going to bed}{!|.|}")
    if "night" in question.lower() or "bed" in question:
        return question, pick(random, "good night{! sleep well|, and sweet dreams}{!|.}")
    return question, pick(random, "{goodbye|bye|see you soon}! {come back {soon|for another story}|have a {nice|good|lovely} day|it was nice to talk to you}{!|.}")


def their_name(random, held_out):
    name = random.choice([random.choice(GIRLS + BOYS), invented_name(random)])
    question = pick(random, "{hi, |hello, |}{my name is|I am|I'm} $name{.|!|}", "{you can |}call me $name{.|}", name=name)
    return question, pick(random, "{hello|hi|nice to meet you|it is nice to meet you}, $name! {would you like to hear a story?|what can I do for you?|what kind of story do you like?|}", name=name)


def mood(random, held_out):
    sad = maybe(random, 0.6)
    question = pick(random, "I {am|feel} {very |so |}{sad|tired|lonely|afraid|bored|angry}{ today|}{.|}") if sad else pick(random, "I {am|feel} {very |so |}{happy|good|great|fine}{ today|}{.|!|}")
    if sad:
        return question, pick(random, "I am sorry to hear that. {shall I tell you a {nice |happy |}story?|maybe a story will help. what should it be about?|a {small |}story may help you feel better. shall I tell one?}")
    return question, pick(random, "{that is {nice|good|wonderful} to hear|I am happy for you|how nice}! {shall I tell you a story?|what shall we do?|}")


def colour(random, held_out):
    if maybe(random, 0.3):
        first, second, result = random.choice(MIXES)
        if maybe(random, 0.5):
            first, second = second, first
        return (pick(random, "what {do|colour do} you get {if you mix|when you mix|from mixing} $a and $b?", "{mix $a and $b.|what is $a and $b mixed?|what do $a and $b make?}", a=first, b=second),
                pick(random, "{if you mix $a and $b, you get|$a and $b make|you get} $c.", a=first, b=second, c=result))
    thing, shade = random.choice(list(COLOUR_OF.items()))
    return (pick(random, "what {colour|color} is $thing?", "{do you know|can you tell me|tell me} what {colour|color} $thing is{?|}", "which {colour|color} does $thing have?", thing=thing),
            pick(random, "$thing is $shade.", "{it|$thing} is $shade.", thing=thing, shade=shade))


def animal(random, held_out):
    name = random.choice(list(ANIMAL_FACTS))
    sound, baby, home, food, legs = ANIMAL_FACTS[name]
    options = [
        ("what does {a|the} $name eat?|what {do you give|food is for} a $name{ to eat|}?|what does a $name like to eat?", "a $name {eats|likes to eat} $x.", food),
        ("where does a $name live?|where {do you find|can I find|can you see} a $name?|what is the home of a $name?", "a $name lives $x.", home),
        ("how many legs does a $name have?|how many legs has a $name?", "a $name has {$x legs.|$x legs.}" if legs != "no" else "a $name has no legs.", legs),
    ]
    if sound:
        options.append(("what {sound|noise} does a $name make?|what does {a|the} $name say?|how does a $name {sound|go}?", "{a|the} $name says \"$x\".", sound))
    if baby:
        options.append(("what is a {baby|young} $name called?|what do you call a {baby|young} $name?|what is the name of a baby $name?", "a baby $name is called a $x.", baby))
    questions, answer, value = random.choice(options)
    return pick(random, "{" + questions + "}", name=name), pick(random, answer, name=name, x=value)


def about_animal(random, held_out):
    name = random.choice(list(ANIMAL_FACTS))
    sound, baby, home, food, legs = ANIMAL_FACTS[name]
    text = f"a {name} is an animal that lives {home}. it has {legs} legs and {{eats|likes to eat}} {food}."
    if baby:
        text += f" a baby {name} is called a {baby}."
    return pick(random, "{tell me about|what do you know about|what is} {a|the} $name{?|.}", "tell me {something|a fact} about {a|the} $name{.|}", name=name), pick(random, text)


def opposite(random, held_out):
    first, second = random.choice(OPPOSITES)
    if maybe(random, 0.5):
        first, second = second, first
    return (pick(random, "{what is|what's|tell me|give me} the opposite of {$a|\"$a\"}{?|}", "$a is the opposite of what?", "opposite of $a{?|}", "{what is|name} the opposite word of $a?", a=first),
            pick(random, "the opposite of $a is $b.", "{$b.|it is $b.|the opposite of $a is $b.}", a=first, b=second))


def count(random, held_out):
    while True:
        first, last = (1, random.randint(2, 20)) if maybe(random, 0.6) else sorted(random.sample(range(1, 21), 2))
        if first != last and not unseen(held_out, "count", first, last):
            break
    back, words = maybe(random, 0.3), maybe(random, 0.3)
    numbers = list(range(first, last + 1))[::-1 if back else 1]
    if first == 1 and not back and maybe(random, 0.6):
        question = pick(random, "{can you |please |}count to $b{.|}", "count {up |}to $b{, please|}{.|}", b=last)
    else:
        question = pick(random, "{can you |please |}count {backwards |down |}from $a to $b{.|}" if back else "{can you |please |}count from $a to $b{.|}", a=numbers[0], b=numbers[-1])
    if words:
        question = question.rstrip(".") + random.choice([" in words", " with words", " in words."])
    return question, ", ".join(NUMBERS[number] if words else str(number) for number in numbers).capitalize() + "."


def total(random, held_out):
    while True:
        plus = maybe(random, 0.6)
        first, second = random.randint(0, 12), random.randint(0, 12)
        if not plus and first < second:
            first, second = second, first
        if not unseen(held_out, "sum", plus, first, second):
            break
    result = first + second if plus else first - second
    if maybe(random, 0.2):
        first, second, result = NUMBERS[first], NUMBERS[second], NUMBERS[result]
    sign = "{plus|+|and}" if plus else "{minus|-}"
    sign = expand(random, sign).lower()
    return (pick(random, "{what is|what's|how much is|calculate} $a $sign $b{?|}", "$a $sign $b{?| =|}", "can you tell me what $a $sign $b is?", a=first, b=second, sign=sign),
            pick(random, "$a $word $b is $c.", "{$a $word $b is|it is|that is} $c.", a=first, b=second, c=result, word={"+": "plus", "-": "minus"}.get(sign, sign)))


def story_sum(random, held_out):
    slots = cast(random, held_out)
    first, second = random.randint(2, 10), random.randint(1, 9)
    item = random.choice("apples nuts balls coins books eggs stones cookies flowers".split())
    if maybe(random, 0.5) or second > first:
        verb, result = "{gets|finds|buys} $b more", first + second
    else:
        verb, result = "{loses|gives away|eats|sells} $b", first - second
    slots.update(a=first, b=second, c=result, item=item)
    return (pick(random, "$name has $a $item{.| and} $he2 " + verb + ". how many $item does $name have{ now|}?", **slots, he2=slots["he"]),
            pick(random, "$name {now |}has $c $item{ now|}." if result != 1 else "$name has 1 left.", **slots).replace("now has", "has"))


def days(random, held_out):
    calendar, word = (DAYS, "day") if maybe(random, 0.6) else (MONTHS, "month")
    index = random.randrange(len(calendar))
    this, following = calendar[index], calendar[(index + 1) % len(calendar)]
    kind = random.randrange(5)
    if kind == 0:
        return pick(random, "{what are|name|tell me|list} the $word;s of the $span{?|.}", word=word, span="week" if word == "day" else "year"), ", ".join(calendar[:-1]) + " and " + calendar[-1] + "."
    if kind == 1:
        return pick(random, "how many $word;s {are in a $span|does a $span have}?", word=word, span="week" if word == "day" else "year"), pick(random, "a $span has $n $word;s.", word=word, n="seven" if word == "day" else "twelve", span="week" if word == "day" else "year")
    if kind == 2:
        return pick(random, "{what|which} $word {comes|is} before $x?", word=word, x=following), pick(random, "$this comes before $x.", "$this.", this=this, x=following)
    if kind == 3 and word == "day":
        return pick(random, "{if today is|today is} $this{, what|. what} {day is|is} tomorrow?", this=this), pick(random, "{tomorrow is|if today is $this, tomorrow is} $x.", this=this, x=following)
    return pick(random, "{what|which} $word {comes|is} after $this?", "what {comes|is} after $this?", word=word, this=this), pick(random, "$x comes after $this.", "$x.", this=this, x=following)


def season(random, held_out):
    name, facts = random.choice(list(SEASONS.items()))
    if maybe(random, 0.3):
        return pick(random, "{what are|name|how many are} the {four |}seasons{?|.}"), pick(random, "{the four seasons|the seasons} are spring, summer, autumn and winter.")
    return pick(random, "{what is $name like|tell me about $name|what happens in $name}?", "how is {the weather|it} in $name?", name=name), pick(random, facts)


def bigger(random, held_out):
    while True:
        first, second = random.sample(range(len(SIZES)), 2)
        if abs(first - second) >= 2 and not unseen(held_out, "size", *sorted((first, second))):
            break
    big = maybe(random, 0.65)
    winner = SIZES[(max if big else min)(first, second)]
    loser = SIZES[(min if big else max)(first, second)]
    return (pick(random, "{what|which|who} is $word, a $a or a $b?", "which one is $word: a $a or a $b?", a=SIZES[first], b=SIZES[second], word="bigger" if big else "smaller"),
            pick(random, "a $a is $word than a $b.", a=winner, b=loser, word="bigger" if big else "smaller"))


def compare(random, held_out):
    while True:
        first, second = random.sample(range(0, 21), 2)
        if not unseen(held_out, "number", first, second):
            break
    big = maybe(random, 0.6)
    word = "{bigger|larger|more}" if big else "{smaller|less}"
    word = expand(random, word).lower()
    high, low = max(first, second), min(first, second)
    return (pick(random, "{what|which|which number} is $word, $a or $b?", a=first, b=second, word=word),
            pick(random, "$a is $word than $b.", a=high if big else low, b=low if big else high, word=word))


def able(random, held_out):
    subject, verb, yes, reason = random.choice(CAN)
    return pick(random, "can {a|the} $x $verb?", x=subject, verb=verb), pick(random, f"{'yes' if yes else 'no'}, a $x {'can' if yes else 'cannot'} $verb. {reason}", x=subject, verb=verb)


def listing(random, held_out):
    category, members = random.choice(list(CATEGORIES.items()))
    size = random.randint(2, 5)
    chosen = random.sample(members, size)
    return (pick(random, "{name|tell me|give me|list|can you name} $n $category{.|}", n=random.choice([size, NUMBERS[size]]), category=category),
            ", ".join(chosen[:-1]).capitalize() + " and " + chosen[-1] + ".")


def membership(random, held_out):
    category = random.choice(list(CATEGORIES))
    right = maybe(random, 0.5)
    other = category if right else random.choice([name for name in CATEGORIES if name != category])
    member = random.choice(CATEGORIES[other])
    single = {"animals": "an animal", "fruits": "a fruit", "vegetables": "a vegetable", "colours": "a colour", "toys": "a toy", "birds": "a bird", "flowers": "a flower", "clothes": "something to wear", "shapes": "a shape", "tools": "a tool"}
    if {category, other} == {"animals", "birds"} or member == "orange":  # both answers would be right
        return membership(random, held_out)
    member = member if other == "colours" else f"a {member}"
    return (pick(random, "is $m $c?", m=member, c=single[category]),
            pick(random, "yes, $m is $c." if right else "no, $m is not $c. it is $d.", m=member, c=single[category], d=single[other]))


def definition(random, held_out):
    thing, meaning = random.choice(list(DEFINITIONS.items()))
    if maybe(random, 0.3):
        use, answer = random.choice(list(USES.items()))
        return pick(random, "what {do you need|do I need|can I use} to $use?", use=use), pick(random, "{you need|you can use} $answer.", answer=answer)
    return pick(random, "what is {a|the} $x?", "{what does $x mean|can you tell me what a $x is|explain $x}{?|}", x=thing), pick(random, "a $x is $meaning.", x=thing, meaning=meaning)


def quantity(random, held_out):
    question, answer = random.choice(QUANTITIES)
    return pick(random, question), pick(random, answer)


def joke(random, held_out):
    return pick(random, "{tell me|do you know|can you tell me|I want to hear|make|say} {a|a funny|another|a good} joke{?|.|}", "make me laugh{.|!|}"), pick(random, random.choice(JOKES))


def poem(random, held_out):
    slots = cast(random, held_out)
    (one, two), (three, four) = random.sample(RHYMES, 2)
    lines = [one, two, three, four]
    subject = random.choice([f"a {slots['trait']} {slots['kind']}", f"a {slots['kind']}", f"the {slots['kind']}"])
    return (pick(random, "{write|tell me|make|give me|can you write} a {short |little |}{poem|rhyme} about $subject{.|}", subject=subject),
            "\n".join(pick(random, line, **slots) for line in lines))


def refusal(random, held_out):
    questions, answer = random.choice(REFUSALS)
    slots = cast(random, held_out)
    slots.update(n=random.randint(13, 99), m=random.randint(13, 99))
    return pick(random, questions, **slots), pick(random, answer + " {but I can tell you a story{.| if you like.}|shall I tell you a story instead?|}", **slots)


def unknown(random, held_out):
    return pick(random, random.choice(UNKNOWN)), pick(random, "{I do not know that|I do not know|sorry, I do not know that}. {I am only a small model that tells stories.|I know little about the big world, but I can tell you a story.|shall I tell you a story instead?}")


def as_json(random, held_out):
    slots = cast(random, held_out)
    value = {"name": slots["name"], "animal": slots["kind"], "place": slots["place"], "thing": slots["thing"], "colour": slots["colour"], "trait": slots["trait"], "age": random.randint(3, 99)}
    keys = random.sample(list(value), random.randint(2, 4))
    listed = ", ".join(keys[:-1]) + " and " + keys[-1]
    given = f" about a {slots['trait']} {slots['kind']}" if "animal" in keys and maybe(random, 0.4) else ""
    return (f"{random.choice(['Give me', 'Write', 'Make', 'Show me'])} {random.choice(['JSON', 'a JSON object', 'a JSON'])}{given} with {listed}{random.choice(['.', ''])}",
            json.dumps({key: value[key] for key in keys}))


def character(random, held_out):
    slots = cast(random, held_out)
    return (pick(random, "{give me|think of|tell me|I need|make up} a {good |nice |}name for {a|my} $kind{.|}", "{what is a good name|what could be a name} for a $kind?", **slots),
            pick(random, "{how about|what about|maybe|I would call $him} $name{?|.}", **slots))


def repeat(random, held_out):
    slots = cast(random, held_out)
    phrase = pick(random, "{the $kind is $trait|I like $food|a $colour $thing|$name and $fname|my $thing is $colour|hello $name|the $trait $kind has a $thing}", **slots).rstrip(".")
    return pick(random, "{say|repeat|please say|repeat after me}: $p", p=phrase), phrase + ("" if maybe(random, 0.5) else ".")


def origin(random, held_out):
    return random.choice([
        lambda: (pick(random, "{who {made|created|built|trained} you|where do you come from|how were you {made|trained}|what did you learn from}?"),
                 pick(random, "I am a {small|tiny} language model. {my makers trained me on|I learned from} stories and talks that a {grammar|little program} made.")),
        lambda: (pick(random, "how old are you?", "when were you {born|made}?"), pick(random, "I have no age. I am a {program|model}, {not a person|and I do not get older}.")),
        lambda: (pick(random, "where {do you live|are you}{ now|}?"), pick(random, "I {live in|run on} a computer.")),
        lambda: (pick(random, "do you {sleep|eat|dream|have {a body|friends|feelings}|get tired}?"), pick(random, "no, I am {only |}a {program|small model}.{ but I can tell you a story about that.|}")),
        lambda: (pick(random, "how {big|large|smart|clever} are you?"), pick(random, "I am a very small model. I know {simple|only small} things{, and I like stories|}.")),
    ])()


def favourite(random, held_out):
    slots = cast(random, held_out)
    if maybe(random, 0.5):
        return (pick(random, "{do you like|what do you think of} {a |}{$kind;s|$food|$colour things|stories|jokes}?".replace("{a |}", ""), **slots),
                pick(random, "{yes, I do|yes, very much|I think they are {nice|wonderful}}!{ shall I tell you a story {about that|with that in it}?|}"))
    return (pick(random, "what is your favourite {animal|colour|thing|story}?", "which {animal|colour} do you like {best|most}?", **slots),
            pick(random, "{I have no favourite, but I like all stories.|I cannot choose. I like them all!|I am a program, so I have none, but I like to tell stories.}"))


def rhyme(random, held_out):
    words = random.choice(SOUNDS_LIKE)
    word, other, *_ = random.sample(words, 2)
    return pick(random, "{what rhymes with|which word rhymes with|find a rhyme for|a rhyme for} {$w|\"$w\"}{?|}", w=word), pick(random, "{$o rhymes with $w.|$o.}", w=word, o=other)


def sentence(random, held_out):
    slots = cast(random, held_out)
    return (pick(random, "{make|write|give me|can you make} a sentence {with|about} {a|the word} {$thing}{.|}", **slots),
            pick(random, "{the $trait $kind has a {$colour |}$thing|$name the $kind found a {$colour |}$thing $prep the $place|there is a {$colour |}$thing {near|behind} $spot|$name likes $his {$colour |}$thing}.", **slots))


def nonsense(random, held_out):
    letters = "".join(random.choice("asdfghjklqwertyuiopzxcvbnm") for _ in range(random.randint(2, 9)))
    return (random.choice([letters, letters, "???", "...", "hmm", "1234567", letters + " " + letters[::-1]]),
            pick(random, "{I do not understand that|sorry, I do not understand}. {can you say it in other words?|you can ask me for a story.|what would you like to hear?}"))


def nod(random, held_out):
    return pick(random, "{ok|okay|yes|sure|all right|I see|interesting|right}{.|!|}"), pick(random, "{what would you like to {do|hear} next?|what shall we do now?|shall I tell you a story?|good! what would you like to hear?}")


def sorry(random, held_out):
    return pick(random, "{that is wrong|no, that is not right|you are wrong|this is {bad|boring}|I do not like {it|that}}{.|!|}"), pick(random, "{I am sorry|oh, I am sorry}. {I am a small model, and I make mistakes.|shall we try {again|something else}?|what would you like instead?}")


# function: how often it is drawn among all exchanges that are not stories.
EXCHANGES = {
    greeting: 5, identity: 5, ability: 3, thanks: 4, farewell: 3, their_name: 3, mood: 2, colour: 5, animal: 7, about_animal: 3,
    opposite: 6, count: 7, total: 12, story_sum: 4, days: 6, season: 2, bigger: 4, compare: 3, able: 4, listing: 5, membership: 3,
    definition: 5, quantity: 2, joke: 3, poem: 4, refusal: 6, unknown: 4, as_json: 4, character: 3, repeat: 2,
    origin: 4, favourite: 2, rhyme: 3, sentence: 3, nonsense: 1.5, nod: 2, sorry: 1.5,
}
