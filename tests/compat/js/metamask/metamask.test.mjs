// MetaMask: its requests, replayed from script.json over HTTP as the extension sends them.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Interface, Wallet, toBeHex } from "ethers";
import { WAIT_MS, chainId, privateKey, rpcUrl } from "../common.mjs";
import { mismatch } from "./shape.mjs";

const ORIGIN = "chrome-extension://nkbihfbeogaeaoehlefnkodbefgpgknn";
const MULTICALL = "0xcA11bde05977b3631167028862bE2a173976CA11";
const { shapes, steps } = JSON.parse(readFileSync(new URL("script.json", import.meta.url), "utf8"));
let id = 7_512_000_000_000;

test("the browser may ask (CORS preflight)", async () => {
  const response = await fetch(rpcUrl, {
    method: "OPTIONS",
    headers: { origin: ORIGIN, "access-control-request-method": "POST", "access-control-request-headers": "content-type" },
  });
  assert.ok(response.ok, `status ${response.status}`);
  allowed(response, "access-control-allow-origin", ORIGIN);
  allowed(response, "access-control-allow-methods", "POST");
  allowed(response, "access-control-allow-headers", "content-type");
});

test("the network is added, an account is looked at, money is sent", { timeout: 2 * WAIT_MS }, async () => {
  const me = new Wallet(privateKey);
  const friend = Wallet.createRandom().address;
  const multicall = new Interface([
    "function aggregate3((address target, bool allowFailure, bytes callData)[]) payable returns ((bool success, bytes returnData)[])",
    "function getEthBalance(address) view returns (uint256)",
  ]);
  const balance = (who) => [MULTICALL, true, multicall.encodeFunctionData("getEthBalance", [who])];
  const known = {
    me: me.address,
    friend,
    chainId: toBeHex(chainId).replace(/^0x0/, "0x"),
    multicall: MULTICALL,
    balances: multicall.encodeFunctionData("aggregate3", [[balance(me.address), balance(friend)]]),
  };
  for (const step of steps) {
    if (step.params.includes("$signed")) known.signed = await sign(me, known);
    const result = await answer(step, known);
    if (step.keep) known[step.keep] = result;
  }
});

/** The transfer of the script, signed with what was learnt so far. */
function sign(wallet, { friend, nonce, gasPrice }) {
  const maxFeePerGas = 2n * BigInt(gasPrice) + 10n ** 9n;
  const fees = { maxFeePerGas, maxPriorityFeePerGas: 10n ** 9n, gasLimit: 21_000 };
  return wallet.signTransaction({ type: 2, chainId, to: friend, value: 10n ** 14n, nonce: Number(nonce), ...fees });
}

/** The result of a step, which has the shape that the script expects. */
async function answer(step, known) {
  const params = filled(step.params, known);
  const shape = filled(step.until ?? step.result, known);
  for (const deadline = Date.now() + WAIT_MS; ; await pause(50)) {
    const result = await ask(step.method, params);
    const wrong = mismatch(result, shape, shapes);
    if (wrong === undefined) return result;
    if (!step.until || Date.now() > deadline) assert.fail(`${step.method} (${step.why}): ${wrong}`);
  }
}

async function ask(method, params) {
  id += 1;
  const response = await fetch(rpcUrl, {
    method: "POST",
    headers: { origin: ORIGIN, accept: "application/json", "content-type": "application/json" },
    body: JSON.stringify({ id, jsonrpc: "2.0", method, params }),
  });
  assert.equal(response.status, 200);
  allowed(response, "access-control-allow-origin", ORIGIN);
  const body = await response.json();
  assert.deepEqual([body.id, body.jsonrpc], [id, "2.0"]);
  assert.ok(!("error" in body), `${method}: ${JSON.stringify(body.error)}`);
  return body.result;
}

/** A part of the script with `$NAME` and `$NAME.FIELD` replaced by what is known. */
function filled(part, known) {
  if (Array.isArray(part)) return part.map((one) => filled(one, known));
  if (part !== null && typeof part === "object") {
    return Object.fromEntries(Object.entries(part).map(([name, one]) => [name, filled(one, known)]));
  }
  if (typeof part !== "string" || !part.startsWith("$")) return part;
  return part.slice(1).split(".").reduce((value, name) => value[name], known);
}

function allowed(response, header, value) {
  const found = response.headers.get(header) ?? "nothing";
  const isAllowed = found.split(",").some((one) => ["*", value.toLowerCase()].includes(one.trim().toLowerCase()));
  assert.ok(isAllowed, `${header} is ${found}, without ${value}`);
}
