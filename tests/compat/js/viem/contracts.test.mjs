// viem: a contract's calls, events, failures, multicalls, overrides, simulations and traces.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { ContractFunctionRevertedError, createPublicClient, getContract, http, numberToHex, pad, parseAbiItem } from "viem";
import { generatePrivateKey, privateKeyToAddress } from "viem/accounts";
import { sample } from "../common.mjs";
import { account, chain, client, deploy, mined, wallet } from "./network.mjs";

const CHANGED = parseAbiItem("event NumberChanged(address indexed by, uint256 indexed number, string note)");
const { abi } = sample;
let address;
let contract;

before(async () => {
  address = await deploy();
  contract = getContract({ abi, address, client: wallet });
});

test("it is called, changed and paid", async () => {
  assert.equal(await contract.read.number(), 7n);
  const { request } = await contract.simulate.setNumber([8n, "eight"]);
  const receipt = await mined(wallet.writeContract(request));
  assert.equal(await contract.read.number(), 8n);
  assert.equal(await contract.read.number({ blockNumber: receipt.blockNumber - 1n }), 7n);
  assert.equal(await client.getStorageAt({ address, slot: "0x0" }), pad("0x8"));
  await mined(contract.write.pay({ value: 5n }));
  assert.equal(await contract.read.paid([account.address]), 5n);
});

test("its events are found by range and by filter", async () => {
  const filter = await client.createContractEventFilter({ abi, address, eventName: "NumberChanged", args: { number: 31n } });
  const blocks = await client.createBlockFilter();
  const { blockHash, blockNumber, transactionHash } = await mined(contract.write.setNumber([31n, "heard"]));
  const [log] = await client.getLogs({ address, event: CHANGED, fromBlock: blockNumber, toBlock: "latest" });
  assert.deepEqual([log.args.by, log.args.number, log.args.note], [account.address, 31n, "heard"]);
  const [found] = await client.getFilterChanges({ filter });
  assert.equal(found.transactionHash, transactionHash);
  assert.deepEqual(await client.getFilterChanges({ filter }), []);
  assert.ok((await client.getFilterChanges({ filter: blocks })).includes(blockHash));
  assert.equal(await client.uninstallFilter({ filter }), true);
});

test("a filter of waiting transactions tells their hashes", async () => {
  const filter = await client.createPendingTransactionFilter();
  const { transactionHash } = await mined(contract.write.setNumber([32n, "waited"]));
  assert.ok((await client.getFilterChanges({ filter })).includes(transactionHash));
});

test("its failures are decoded: ContractFunctionRevertedError", async () => {
  assert.equal((await reverted(contract.simulate.failWithReason())).reason, "the sample says no");
  assert.equal((await reverted(contract.estimateGas.failWithReason())).reason, "the sample says no");
  assert.equal((await reverted(contract.write.failWithReason())).reason, "the sample says no");
  const { data } = await reverted(contract.simulate.failWithCustomError([42n]));
  assert.deepEqual([data.errorName, ...data.args], ["Forbidden", account.address, 42n]);
  assert.match((await reverted(contract.read.divide([1n, 0n]))).reason, /Divi.* by zero/);
  assert.equal((await mined(contract.write.failWithNothing({ gas: 100_000n }))).status, "reverted");
});

test("many questions at once: JSON-RPC batches and Multicall3", async () => {
  const batching = createPublicClient({ chain, transport: http(undefined, { batch: true }) });
  const answers = await Promise.all([batching.getChainId(), batching.getBlockNumber(), batching.getBalance({ address })]);
  assert.equal(answers[0], chain.id);
  const [number, paid, failed] = await client.multicall({
    contracts: [
      { abi, address, functionName: "number" },
      { abi, address, functionName: "paid", args: [account.address] },
      { abi, address, functionName: "divide", args: [1n, 0n] },
    ],
  });
  assert.deepEqual([number.status, paid.status, failed.status], ["success", "success", "failure"]);
  assert.equal(number.result, await contract.read.number());
});

test("a call with changed state and with a changed block", async () => {
  const stateOverride = [{ address, stateDiff: [{ slot: pad("0x0"), value: pad("0x63") }] }];
  assert.equal(await client.readContract({ abi, address, functionName: "number", stateOverride }), 99n);
  const poor = privateKeyToAddress(generatePrivateKey());
  const rich = [{ address: poor, balance: 10n ** 18n }];
  await client.call({ account: poor, to: address, value: 1n, stateOverride: rich });
  // NUMBER PUSH0 MSTORE PUSH1 32 PUSH0 RETURN: which block it is.
  const teller = [{ address: poor, code: "0x435f5260205ff3" }];
  const { data } = await client.call({ to: poor, stateOverride: teller, blockOverrides: { number: 4242n } });
  assert.equal(BigInt(data), 4242n);
});

test("an access list is made", async () => {
  const { accessList, gasUsed } = await client.createAccessList({ account, to: address, data: "0x8381f58a" });
  assert.deepEqual(accessList, [{ address: address.toLowerCase(), storageKeys: [pad("0x0")] }]);
  assert.ok(gasUsed > 21_000n);
});

test("calls and blocks are simulated", async () => {
  const setNumber = { abi, to: address, functionName: "setNumber", args: [5n, "simulated"] };
  const number = { abi, to: address, functionName: "number" };
  const { results } = await client.simulateCalls({ account, calls: [setNumber, number, { ...number, functionName: "failWithReason" }] });
  assert.deepEqual(results.map((one) => one.status), ["success", "success", "failure"]);
  assert.equal(results[0].logs.length, 1);
  assert.equal(results[1].result, 5n);
  const rich = [{ address: account.address, balance: 10n ** 24n }];
  const blocks = await client.simulateBlocks({
    blocks: [
      { blockOverrides: { baseFeePerGas: 9n }, calls: [{ account, ...setNumber }], stateOverrides: rich },
      { calls: [{ account, ...number }] },
    ],
  });
  assert.equal(blocks[0].baseFeePerGas, 9n);
  assert.equal(blocks[1].number, blocks[0].number + 1n);
  assert.equal(blocks[1].calls[0].result, 5n);
});

test("transactions, calls and blocks are traced", async () => {
  const to = privateKeyToAddress(generatePrivateKey());
  const { blockNumber, transactionHash } = await mined(contract.write.forward([to], { value: 3n }));
  const trace = (options) => client.request({ method: "debug_traceTransaction", params: [transactionHash, options] });
  const call = await trace({ tracer: "callTracer", tracerConfig: { withLog: true } });
  assert.deepEqual([call.type, call.from], ["CALL", account.address.toLowerCase()]);
  assert.deepEqual([call.calls[0].to, call.calls[0].value], [to.toLowerCase(), "0x3"]);
  const { pre, post } = await trace({ tracer: "prestateTracer", tracerConfig: { diffMode: true } });
  assert.ok(BigInt(pre[account.address.toLowerCase()].balance) > BigInt(post[account.address.toLowerCase()].balance));
  assert.equal(post[to.toLowerCase()].balance, "0x3");
  assert.deepEqual(Object.values(await trace({ tracer: "4byteTracer" })), [1]);
  const steps = await trace({ disableStorage: true });
  assert.ok(steps.structLogs.some(({ op }) => op === "CALL"));
  const block = await client.request({ method: "debug_traceBlockByNumber", params: [numberToHex(blockNumber), { tracer: "callTracer" }] });
  assert.ok(block.some((one) => one.txHash === transactionHash && one.result.type === "CALL"));
  const traced = { from: account.address, to: address, data: "0x8381f58a" };
  const result = await client.request({ method: "debug_traceCall", params: [traced, "latest", { tracer: "callTracer" }] });
  assert.equal(BigInt(result.output), await contract.read.number());
});

/** What a contract reverted with, as viem decodes it. */
async function reverted(promise) {
  const error = await promise.then(
    () => assert.fail("it did not revert"),
    (error) => error,
  );
  const revert = error.walk?.((cause) => cause instanceof ContractFunctionRevertedError);
  assert.ok(revert, `${error.name}: ${error.message}`);
  return revert;
}
