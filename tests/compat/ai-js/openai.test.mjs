// OpenAI's client for Node: conversations, completions, responses, whole and streamed.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { apiKey, messages, model, openaiUrl } from "./common.mjs";

const client = new OpenAI({ baseURL: openaiUrl, apiKey, maxRetries: 0 });
const wanted = { model, messages, seed: 1, max_tokens: 50 };

async function collect(stream) {
  const all = [];
  for await (const one of stream) all.push(one);
  return all;
}

test("models are listed", async () => {
  const names = (await collect(await client.models.list())).map((one) => one.id);
  assert.ok(names.includes(model), names.join(" "));
});

test("a conversation, whole and streamed", async () => {
  const whole = await client.chat.completions.create(wanted);
  assert.equal(whole.choices[0].finish_reason, "stop");
  assert.ok(whole.choices[0].message.content);
  assert.match(whole.og_receipt.receipt_url, /^\/v1\/receipts\/0x[0-9a-f]{64}$/);
  const frames = await collect(
    await client.chat.completions.create({ ...wanted, stream: true, stream_options: { include_usage: true } }),
  );
  assert.ok(frames.length > 5);
  assert.equal(frames.map((frame) => frame.choices[0]?.delta.content ?? "").join(""), whole.choices[0].message.content);
  assert.deepEqual(frames.at(-1).usage, whole.usage);
  assert.equal(frames.at(-1).og_receipt.seed, 1);
});

test("the client's own helper for streams", async () => {
  const runner = client.chat.completions.stream(wanted);
  const pieces = [];
  runner.on("content", (piece) => pieces.push(piece));
  const final = await runner.finalChatCompletion();
  assert.ok(pieces.length > 5);
  assert.equal(pieces.join(""), final.choices[0].message.content);
});

test("a stream that is left early harms nobody", async () => {
  for await (const frame of await client.chat.completions.create({ ...wanted, max_tokens: 200, stream: true })) {
    assert.ok(frame.id);
    break;
  }
  assert.ok((await client.chat.completions.create(wanted)).choices[0].message.content);
});

test("a completion, whole and streamed", async () => {
  const text = { model, prompt: "Once upon a time", seed: 3, max_tokens: 12 };
  const whole = await client.completions.create(text);
  assert.equal(whole.choices[0].finish_reason, "length");
  const frames = await collect(await client.completions.create({ ...text, stream: true }));
  assert.equal(frames.map((frame) => frame.choices[0]?.text ?? "").join(""), whole.choices[0].text);
});

test("a response, whole and streamed", async () => {
  const asked = { model, input: "Hello!", temperature: 0 };
  const whole = await client.responses.create(asked);
  assert.equal(whole.status, "completed");
  const events = await collect(await client.responses.create({ ...asked, stream: true }));
  const deltas = events.filter((event) => event.type === "response.output_text.delta");
  assert.equal(deltas.map((event) => event.delta).join(""), whole.output_text);
  assert.equal(events.at(-1).type, "response.completed");
});

test("embeddings", async () => {
  const answer = await client.embeddings.create({ model: "vectors", input: ["A frog", "@"], dimensions: 2 });
  assert.deepEqual(answer.data.map((one) => one.embedding), [[65 / 128, 32 / 128], [0.5, 0.25]]);
  assert.equal(answer.usage.prompt_tokens, 3);
  assert.match(answer.og_receipt.relayed_from, /^127\.0\.0\.1:/);
});

test("a seed that was drawn gives the same again", async () => {
  const chances = { model, messages, max_tokens: 20, temperature: 1.5 };
  const first = await client.chat.completions.create(chances);
  const { seed } = first.og_receipt;
  assert.ok(Number.isSafeInteger(seed));
  const again = await client.chat.completions.create({ ...chances, seed });
  assert.equal(again.choices[0].message.content, first.choices[0].message.content);
});

test("errors have their types", async () => {
  const unknown = client.chat.completions.create({ ...wanted, model: "no-such-model" });
  await assert.rejects(unknown, (error) => error instanceof OpenAI.NotFoundError && error.code === "model_not_found");
  const refused = client.chat.completions.create({ ...wanted, frobnicate: 1 });
  await assert.rejects(refused, (error) => error instanceof OpenAI.BadRequestError && error.param === "frobnicate");
});
