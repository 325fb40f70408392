"""OpenGradient's SDK, asked in the same way however it was told where to ask."""

import asyncio

from conftest import MODEL, QUESTION

# The SDK drops what stands before the slash.
NAME = f"og/{MODEL}"


class Sdk:
    """What `make` makes is the SDK's LLM: a new one for each question."""

    def __init__(self, make):
        self.make = make

    def ask(self, ask):
        """What `ask` makes of it."""

        async def run():
            llm = self.make()
            try:
                return await ask(llm)
            finally:
                await llm.close()

        return asyncio.run(asyncio.wait_for(run(), timeout=30))

    def chat(self, **settings):
        return self.ask(lambda llm: llm.chat(**{"model": NAME, "messages": QUESTION} | settings))

    def streamed(self, **settings):
        async def read(llm):
            return [chunk async for chunk in await llm.chat(**{"model": NAME, "messages": QUESTION, "stream": True} | settings)]

        return self.ask(read)
