// ethers: where am I, what do I have, transactions of each type, and what the node refuses.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Wallet, ZeroAddress, isError, parseUnits } from "ethers";
import { chainId, freshKey, isReference, sample } from "../common.mjs";
import { deploy, provider, wallet } from "./network.mjs";

const GWEI = parseUnits("1", "gwei");
const FEES = { maxFeePerGas: 5n * GWEI, maxPriorityFeePerGas: GWEI };

test("the chain introduces itself", async () => {
  assert.equal((await provider.getNetwork()).chainId, BigInt(chainId));
  assert.ok((await provider.getBalance(wallet.address)) > 10n ** 18n);
  const fees = await provider.getFeeData();
  assert.ok(fees.gasPrice > 0n && fees.maxFeePerGas > 0n && fees.maxPriorityFeePerGas >= 0n);
  const latest = await provider.getBlock("latest", true);
  assert.equal((await provider.getBlock(latest.hash)).number, latest.number);
  assert.equal((await provider.getBlock(0)).number, 0);
  for (const tag of ["safe", "finalized", "pending"]) assert.ok((await provider.getBlock(tag)).number >= 0);
});

for (const type of [0, 1, 2]) {
  test(`a transfer of type ${type}`, async () => {
    const receiver = Wallet.createRandom().address;
    const accessList = type === 1 ? [{ address: receiver, storageKeys: [] }] : undefined;
    const sent = await wallet.sendTransaction({ type, to: receiver, value: 123n, accessList });
    const receipt = await sent.wait();
    assert.equal(receipt.status, 1);
    assert.equal(receipt.type, type);
    assert.equal(receipt.from, wallet.address);
    assert.equal(await provider.getBalance(receiver), 123n);
    const found = await provider.getTransaction(sent.hash);
    assert.equal(found.blockHash, receipt.blockHash);
    assert.equal(found.signature.serialized, sent.signature.serialized);
  });
}

test("five confirmations come with no other transactions", async () => {
  const sent = await wallet.sendTransaction({ to: wallet.address });
  const receipt = await sent.wait(5);
  assert.ok((await receipt.confirmations()) >= 5);
});

test("an account is delegated, called and freed (EIP-7702)", async () => {
  const contract = await deploy();
  const address = await contract.getAddress();
  const owner = new Wallet(freshKey(), provider);
  const change = { to: owner.address, gasLimit: 200_000, ...FEES, type: 4 };
  const data = contract.interface.encodeFunctionData("setNumber", [77, "delegated"]);
  const delegate = await owner.authorize({ address, nonce: 0, chainId });
  const receipt = await (await wallet.sendTransaction({ ...change, data, authorizationList: [delegate] })).wait();
  assert.deepEqual([receipt.status, receipt.type], [1, 4]);
  assert.equal(await provider.getCode(owner.address), `0xef0100${address.slice(2).toLowerCase()}`);
  assert.equal(await contract.attach(owner.address).number(), 77n);
  assert.equal((await provider.getTransaction(receipt.hash)).authorizationList[0].address, address);

  const revoke = await owner.authorize({ address: ZeroAddress, nonce: 1, chainId });
  await (await wallet.sendTransaction({ ...change, authorizationList: [revoke] })).wait();
  assert.equal(await provider.getCode(owner.address), "0x");
});

test("several transactions without waiting in between", async () => {
  const nonce = await wallet.getNonce();
  const sent = [];
  for (let i = 0; i < 3; i++) sent.push(await wallet.sendTransaction({ to: wallet.address, nonce: nonce + i, gasLimit: 21_000 }));
  assert.equal(await wallet.getNonce("pending"), nonce + 3);
  for (const one of sent) assert.equal((await one.wait()).status, 1);
});

test("too little money: INSUFFICIENT_FUNDS", async () => {
  const poor = new Wallet(freshKey(), provider);
  await refused(poor.sendTransaction({ to: poor.address, value: 1n, gasLimit: 21_000, ...FEES }), "INSUFFICIENT_FUNDS");
  if (isReference) return; // It estimates whatever the balance.
  await refused(poor.estimateGas({ to: wallet.address, value: 1n }), "INSUFFICIENT_FUNDS");
});

test("a nonce that was used: NONCE_EXPIRED", async () => {
  await (await wallet.sendTransaction({ to: wallet.address })).wait();
  const nonce = (await wallet.getNonce()) - 1;
  await refused(wallet.sendTransaction({ to: wallet.address, nonce, gasLimit: 21_000, ...FEES }), "NONCE_EXPIRED");
});

test("a replacement that pays too little: REPLACEMENT_UNDERPRICED", async () => {
  const nonce = await wallet.getNonce();
  // The first waits for the nonce before its own.
  const waiting = { to: wallet.address, nonce: nonce + 1, gasLimit: 21_000, ...FEES };
  await wallet.sendTransaction(waiting);
  await refused(wallet.sendTransaction({ ...waiting, value: 1n }), "REPLACEMENT_UNDERPRICED");
  const replacing = { ...waiting, value: 2n, maxFeePerGas: 10n * GWEI, maxPriorityFeePerGas: 2n * GWEI };
  const replaced = await wallet.sendTransaction(replacing);
  await (await wallet.sendTransaction({ ...waiting, nonce })).wait();
  assert.equal((await replaced.wait()).status, 1);
});

test("a blob is refused", { skip: isReference }, async () => {
  // Of a blob of zeros, commitment and proof are the point at infinity.
  const infinity = `0xc0${"00".repeat(47)}`;
  const kzg = { blobToKzgCommitment: () => infinity, computeBlobKzgProof: () => infinity };
  const blob = { type: 3, to: wallet.address, gasLimit: 21_000, ...FEES, maxFeePerBlobGas: GWEI, kzg, blobs: ["0x".padEnd(2 + 2 * 131_072, "0")] };
  await assert.rejects(wallet.sendTransaction(blob), (error) => /transaction type not supported/.test(error.error?.message ?? error.message));
});

test("a transaction that fails: CALL_EXCEPTION with its receipt", async () => {
  const contract = await deploy();
  const sent = await contract.failWithReason({ gasLimit: 100_000 });
  const error = await refused(sent.wait(), "CALL_EXCEPTION");
  assert.equal(error.receipt.status, 0);
});

test("code that is no code cannot be deployed: CALL_EXCEPTION", async () => {
  await refused(wallet.estimateGas({ data: `${sample.bytecode.slice(0, 40)}fe` }), "CALL_EXCEPTION");
});

/** Checks that a promise fails with the error code of ethers that applications test for. */
async function refused(promise, code) {
  const error = await promise.then(
    () => assert.fail(`no ${code}`),
    (error) => error,
  );
  assert.ok(isError(error, code), `${error.code} instead of ${code}: ${error.message}`);
  return error;
}
