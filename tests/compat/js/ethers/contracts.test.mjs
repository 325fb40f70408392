// ethers: a contract's calls, events, failures, overrides, traces, and news over a WebSocket.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { Wallet, WebSocketProvider, isError, toBeHex } from "ethers";
import { chainId, wsUrl } from "../common.mjs";
import { deploy, provider, wallet } from "./network.mjs";

let contract;
let address;

before(async () => {
  contract = await deploy();
  address = await contract.getAddress();
});

test("it is called, changed and paid", async () => {
  assert.equal(await contract.number(), 7n);
  const receipt = await (await contract.setNumber(8, "eight")).wait();
  assert.equal(await contract.number({ blockTag: receipt.blockNumber }), 8n);
  assert.equal(await contract.number({ blockTag: receipt.blockNumber - 1 }), 7n);
  assert.equal(await provider.getStorage(address, 0), toBeHex(8, 32));
  await (await wallet.sendTransaction({ to: address, value: 5n })).wait();
  assert.equal(await contract.paid(wallet.address), 5n);
});

test("its events are found and heard", async () => {
  const heard = new Promise((resolve) => contract.once(contract.filters.NumberChanged(null, 31), resolve));
  const receipt = await (await contract.setNumber(31, "heard")).wait();
  const [event] = await contract.queryFilter(contract.filters.NumberChanged(wallet.address), receipt.blockNumber);
  assert.deepEqual([...event.args], [wallet.address, 31n, "heard"]);
  assert.equal(event.transactionHash, receipt.hash);
  assert.deepEqual((await heard).log.transactionHash, receipt.hash);
});

test("its failures are decoded: CALL_EXCEPTION", async () => {
  assert.equal((await failed(contract.failWithReason.staticCall())).reason, "the sample says no");
  assert.equal((await failed(contract.failWithReason.estimateGas())).reason, "the sample says no");
  assert.equal((await failed(contract.failWithReason())).reason, "the sample says no");
  const { revert } = await failed(contract.failWithCustomError.staticCall(42));
  assert.deepEqual([revert.name, ...revert.args], ["Forbidden", wallet.address, 42n]);
  assert.equal((await failed(contract.divide(1, 0))).revert.name, "Panic");
  assert.equal((await failed(contract.failWithNothing.staticCall())).data, "0x");
});

test("requests of one moment travel in one batch", async () => {
  const numbers = await Promise.all(Array.from({ length: 20 }, () => contract.number()));
  assert.equal(new Set(numbers).size, 1);
});

test("what has no method of its own: overrides, access lists, receipts, traces", async () => {
  const data = contract.interface.encodeFunctionData("number");
  const overrides = { [address]: { stateDiff: { [toBeHex(0, 32)]: toBeHex(99, 32) } } };
  const changed = await provider.send("eth_call", [{ to: address, data }, "latest", overrides]);
  assert.equal(BigInt(changed), 99n);
  const { accessList } = await provider.send("eth_createAccessList", [{ from: wallet.address, to: address, data }, "latest"]);
  assert.deepEqual(accessList, [{ address: address.toLowerCase(), storageKeys: [toBeHex(0, 32)] }]);

  const receiver = Wallet.createRandom().address;
  const { hash, blockNumber } = await (await contract.forward(receiver, { value: 3n })).wait();
  const receipts = await provider.send("eth_getBlockReceipts", [toBeHex(blockNumber)]);
  assert.ok(receipts.some((one) => one.transactionHash === hash));
  const call = await provider.send("debug_traceTransaction", [hash, { tracer: "callTracer" }]);
  assert.equal(call.calls[0].to, receiver.toLowerCase());
  const block = await provider.send("debug_traceBlockByNumber", [toBeHex(blockNumber), { tracer: "callTracer" }]);
  assert.ok(block.some((one) => one.txHash === hash));
});

test("news over a WebSocket", { timeout: 20_000 }, async () => {
  const socket = new WebSocketProvider(wsUrl);
  try {
    assert.equal((await socket.getNetwork()).chainId, BigInt(chainId));
    const block = new Promise((resolve) => socket.once("block", resolve));
    const log = new Promise((resolve) => contract.connect(socket).once("NumberChanged", (...all) => resolve(all.at(-1).log)));
    const waiting = new Set();
    let heard = () => {};
    socket.on("pending", (hash) => heard(waiting.add(hash)));
    // A call that is answered shows that the subscriptions before it stand.
    await socket.getBlockNumber();
    const sent = await contract.setNumber(500, "told");
    // Others send meanwhile, and are told of too.
    await new Promise((resolve) => {
      heard = () => waiting.has(sent.hash) && resolve();
      heard();
    });
    assert.equal((await log).transactionHash, sent.hash);
    assert.ok((await block) > 0);
  } finally {
    await socket.destroy();
  }
});

/** The error of ethers for what a contract refused. */
async function failed(promise) {
  const error = await promise.then(
    () => assert.fail("it did not fail"),
    (error) => error,
  );
  assert.ok(isError(error, "CALL_EXCEPTION"), `${error.code}: ${error.message}`);
  return error;
}
