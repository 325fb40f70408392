// Foundry's cast: everything that is asked and sent from a prompt.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { chainId, freshKey, sample } from "../common.mjs";
import { SIGN, cast, send } from "./tools.mjs";

let me;
let contract;

before(async () => {
  me = await cast("wallet", "address", ...SIGN);
  const deployed = await send("--create", sample.bytecode, "constructor(uint256)", 7);
  contract = deployed.contractAddress;
});

test("where and what", async () => {
  assert.equal(await cast("chain-id"), `${chainId}`);
  assert.match(await cast("client"), /\//);
  assert.ok(Number(await cast("block-number")) > 0);
  assert.ok(BigInt(await cast("balance", me)) > 10n ** 18n);
  assert.ok(BigInt(await cast("gas-price")) > 0n);
  assert.ok(BigInt(await cast("base-fee")) > 0n);
  const latest = JSON.parse(await cast("block", "latest", "--json"));
  assert.equal(JSON.parse(await cast("block", latest.hash, "--json")).number, latest.number);
  assert.match(await cast("block", "finalized", "--full"), /number/);
});

test("send, receipt, transaction", async () => {
  const to = await cast("wallet", "address", "--private-key", freshKey());
  for (const kind of [["--legacy"], ["--access-list", "[]"], []]) {
    const receipt = await send(...kind, "--value", "5wei", to);
    assert.equal(receipt.status, "0x1");
    assert.equal(await cast("receipt", receipt.transactionHash, "status"), "true");
    assert.equal((await cast("tx", receipt.transactionHash, "to")).toLowerCase(), to.toLowerCase());
  }
  assert.equal(await cast("balance", to), "15");
  assert.ok(Number(await cast("nonce", me)) >= 4);
});

test("a delegation (EIP-7702)", async () => {
  const key = freshKey();
  const owner = await cast("wallet", "address", "--private-key", key);
  const signed = await cast("wallet", "sign-auth", contract, "--private-key", key, "--nonce", 0);
  await send("--auth", signed, owner, "setNumber(uint256,string)", 77, "delegated");
  assert.equal(await cast("code", owner), `0xef0100${contract.slice(2).toLowerCase()}`);
  assert.equal(await cast("call", owner, "number()(uint256)"), "77");
  const revoked = await cast("wallet", "sign-auth", `0x${"00".repeat(20)}`, "--private-key", key, "--nonce", 1);
  await send("--auth", revoked, owner);
  assert.equal(await cast("code", owner), "0x");
});

test("call, storage, code, estimate, access list, logs", async () => {
  assert.equal(await cast("code", contract), sample.deployedBytecode);
  const { blockNumber } = await send(contract, "setNumber(uint256,string)", 8, "eight");
  assert.equal(await cast("call", contract, "number()(uint256)"), "8");
  assert.equal(await cast("call", "--block", Number(blockNumber) - 1, contract, "number()(uint256)"), "7");
  assert.equal(BigInt(await cast("storage", contract, 0)), 8n);
  assert.ok(Number(await cast("estimate", "--from", me, contract, "setNumber(uint256,string)", 9, "nine")) > 21_000);
  assert.match(await cast("access-list", contract, "number()"), new RegExp(contract, "i"));
  const changed = "NumberChanged(address indexed,uint256 indexed,string)";
  const logs = JSON.parse(await cast("logs", "--json", "--from-block", Number(blockNumber), "--address", contract, changed));
  assert.equal(logs.length, 1);
  assert.match(await cast("call", contract, "number()(uint256)", "--override-state-diff", `${contract}:0:99`), /^99/);
});

test("failures say why", async () => {
  await assert.rejects(cast("call", contract, "failWithReason()"), /the sample says no/);
  await assert.rejects(send(contract, "failWithReason()"), /the sample says no/);
  await assert.rejects(cast("call", contract, "divide(uint256,uint256)", 1, 0), /division or modulo by zero|0x12/);
  const poor = cast("send", "--private-key", freshKey(), "--value", 1, "--gas-limit", 21_000, me);
  await assert.rejects(poor, /insufficient funds/i);
  await assert.rejects(send("--nonce", 0, "--gas-limit", 21_000, me), /nonce too low/);
});

test("a transaction is executed again", async () => {
  const to = await cast("wallet", "address", "--private-key", freshKey());
  const { transactionHash } = await send("--value", 3, contract, "forward(address)", to);
  // cast runs it itself on the state of the block before, which it reads from the node.
  const again = await cast("run", "--quick", transactionHash);
  assert.match(again, /Transaction successfully executed/);
  assert.match(again, /fallback{value: 3}/);
  const traced = JSON.parse(await cast("rpc", "debug_traceTransaction", transactionHash, '{"tracer":"callTracer"}'));
  assert.equal(traced.calls[0].value, "0x3");
});
