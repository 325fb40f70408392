// Vercel's AI SDK with its provider for compatible servers: texts, whole and streamed.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateText, streamText } from "ai";
import assert from "node:assert/strict";
import { test } from "node:test";
import { apiKey, messages, model, openaiUrl } from "./common.mjs";

const provider = createOpenAICompatible({ name: "og", baseURL: openaiUrl, apiKey, includeUsage: true });
const wanted = { model: provider(model), messages, seed: 1, maxOutputTokens: 50, maxRetries: 0 };

test("a text, whole and streamed", async () => {
  const whole = await generateText(wanted);
  assert.ok(whole.text);
  assert.equal(whole.finishReason, "stop");
  assert.ok(whole.usage.outputTokens > 0 && whole.usage.outputTokens < 50);
  assert.equal(whole.response.body.og_receipt.seed, 1);
  assert.equal(whole.response.modelId, model);

  const stream = streamText(wanted);
  const pieces = [];
  for await (const piece of stream.textStream) pieces.push(piece);
  assert.ok(pieces.length > 5);
  assert.equal(pieces.join(""), whole.text);
  assert.equal(await stream.finishReason, "stop");
  assert.equal((await stream.usage).outputTokens, whole.usage.outputTokens);
});

test("a system message and a prompt", async () => {
  const { text } = await generateText({ ...wanted, messages: undefined, system: "You are kind.", prompt: "Hello!" });
  assert.ok(text);
});

test("where a text ends", async () => {
  assert.equal((await generateText({ ...wanted, maxOutputTokens: 3 })).finishReason, "length");
  const whole = (await generateText(wanted)).text;
  const secondWord = whole.split(" ")[1];
  const { text } = await generateText({ ...wanted, stopSequences: [secondWord] });
  assert.ok(whole.startsWith(text) && !text.includes(secondWord), text);
});

test("a completion", async () => {
  const { text } = await generateText({ ...wanted, model: provider.completionModel(model), messages: undefined, prompt: "Once" });
  assert.ok(text);
});

test("errors are told", async () => {
  const unknown = generateText({ ...wanted, model: provider("no-such-model") });
  await assert.rejects(unknown, (error) => APICallError.isInstance(error) && error.statusCode === 404);
  const heard = [];
  const stream = streamText({ ...wanted, model: provider("no-such-model"), onError: ({ error }) => heard.push(error) });
  for await (const _ of stream.textStream) assert.fail("there is no text");
  assert.equal(heard[0].statusCode, 404);
});
