// viem: where am I, what do I have, transactions of each type, and what the node refuses.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ExecutionRevertedError,
  InsufficientFundsError,
  IntrinsicGasTooLowError,
  NonceTooLowError,
  TransactionReceiptNotFoundError,
  encodeFunctionData,
  getAddress,
  parseGwei,
  zeroAddress,
} from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { chainId, isReference, sample } from "../common.mjs";
import { account, client, deploy, mined, wallet, walletOf } from "./network.mjs";

const FEES = { maxFeePerGas: parseGwei("5"), maxPriorityFeePerGas: parseGwei("1") };
const stranger = () => privateKeyToAccount(generatePrivateKey());

test("the chain introduces itself", async () => {
  assert.equal(await client.getChainId(), chainId);
  assert.ok((await client.getBalance(account)) > 10n ** 18n);
  const { maxFeePerGas, maxPriorityFeePerGas } = await client.estimateFeesPerGas();
  assert.ok(maxFeePerGas > maxPriorityFeePerGas);
  assert.ok((await client.getGasPrice()) > 0n);
  const history = await client.getFeeHistory({ blockCount: 2, rewardPercentiles: [25, 75] });
  assert.equal(history.baseFeePerGas.length, history.gasUsedRatio.length + 1);
  for (const blockTag of ["latest", "safe", "finalized", "pending", "earliest"]) {
    assert.ok((await client.getBlock({ blockTag, includeTransactions: true })).timestamp >= 0n);
  }
});

for (const type of ["legacy", "eip2930", "eip1559"]) {
  test(`a transfer of type ${type}`, async () => {
    const to = stranger().address;
    const accessList = type === "legacy" ? undefined : [{ address: to, storageKeys: [] }];
    const receipt = await mined(wallet.sendTransaction({ type, to, value: 123n, accessList }));
    assert.deepEqual([receipt.status, receipt.type], ["success", type]);
    assert.equal(await client.getBalance({ address: to }), 123n);
    const found = await client.getTransaction({ hash: receipt.transactionHash });
    assert.deepEqual([found.type, found.blockHash, found.value], [type, receipt.blockHash, 123n]);
    assert.equal(await client.getTransactionConfirmations({ transactionReceipt: receipt }) > 0n, true);
    const receipts = await client.request({ method: "eth_getBlockReceipts", params: [`0x${receipt.blockNumber.toString(16)}`] });
    assert.ok(receipts.some((one) => one.transactionHash === receipt.transactionHash));
  });
}

test("five confirmations come with no other transactions", async () => {
  const hash = await wallet.sendTransaction({ to: account.address });
  const receipt = await client.waitForTransactionReceipt({ hash, confirmations: 5 });
  assert.ok((await client.getTransactionConfirmations({ transactionReceipt: receipt })) >= 5n);
});

test("an account delegates itself, is called and freed (EIP-7702)", async () => {
  const owner = stranger();
  await mined(wallet.sendTransaction({ to: owner.address, value: 10n ** 18n }));
  const ownerWallet = walletOf(owner);
  const contractAddress = await deploy();
  const delegate = await ownerWallet.signAuthorization({ contractAddress, executor: "self" });
  const data = encodeFunctionData({ abi: sample.abi, functionName: "setNumber", args: [77n, "delegated"] });
  const receipt = await mined(ownerWallet.sendTransaction({ to: owner.address, authorizationList: [delegate], data }));
  assert.deepEqual([receipt.status, receipt.type], ["success", "eip7702"]);
  assert.equal(await client.getCode(owner), `0xef0100${contractAddress.slice(2).toLowerCase()}`);
  assert.equal(getAddress(await client.getDelegation(owner)), getAddress(contractAddress));
  assert.equal(await client.readContract({ ...sample, address: owner.address, functionName: "number" }), 77n);

  const revoke = await ownerWallet.signAuthorization({ contractAddress: zeroAddress, executor: "self" });
  await mined(ownerWallet.sendTransaction({ to: owner.address, authorizationList: [revoke] }));
  assert.equal(await client.getCode(owner), undefined);
});

test("too little money: InsufficientFundsError", async () => {
  const poor = walletOf(stranger());
  const sending = poor.sendTransaction({ to: account.address, value: 1n, gas: 21_000n, nonce: 0, ...FEES });
  await refused(sending, InsufficientFundsError);
  if (isReference) return; // It estimates whatever the balance.
  await refused(poor.estimateGas({ to: account.address, value: 1n }), InsufficientFundsError);
});

test("a nonce that was used: NonceTooLowError", async () => {
  await mined(wallet.sendTransaction({ to: account.address }));
  await refused(wallet.sendTransaction({ to: account.address, nonce: 0, gas: 21_000n, ...FEES }), NonceTooLowError);
});

test("too little gas to begin: IntrinsicGasTooLowError", async () => {
  await refused(wallet.sendTransaction({ to: account.address, gas: 20_000n, ...FEES }), IntrinsicGasTooLowError);
});

test("a replacement that pays too little, and one that pays enough", async () => {
  const nonce = await client.getTransactionCount(account);
  // The first waits for the nonce before its own.
  const waiting = { to: account.address, nonce: nonce + 1, gas: 21_000n, ...FEES };
  const first = await wallet.sendTransaction(waiting);
  await assert.rejects(wallet.sendTransaction({ ...waiting, value: 1n }), { details: /replacement transaction underpriced/ });
  const replacing = { ...waiting, value: 2n, maxFeePerGas: parseGwei("10"), maxPriorityFeePerGas: parseGwei("2") };
  const second = await wallet.sendTransaction(replacing);
  assert.equal((await client.getTransaction({ hash: second })).blockHash, null);
  await mined(wallet.sendTransaction({ ...waiting, nonce }));
  assert.equal((await mined(second)).status, "success");
  await refused(client.getTransactionReceipt({ hash: first }), TransactionReceiptNotFoundError);
});

test("an estimate of what fails: EstimateGasExecutionError, ExecutionRevertedError", async () => {
  const deploying = client.estimateGas({ account, data: `${sample.bytecode.slice(0, 40)}fe` });
  await assert.rejects(deploying, { name: "EstimateGasExecutionError" });
  const reverting = encodeFunctionData({ abi: sample.abi, functionName: "failWithReason" });
  await refused(client.estimateGas({ account, to: await deploy(), data: reverting }), ExecutionRevertedError);
});

/** Checks that a promise fails with, or because of, one of viem's typed errors. */
async function refused(promise, kind) {
  const error = await promise.then(
    () => assert.fail(`no ${kind.name}`),
    (error) => error,
  );
  assert.ok(error.walk?.((cause) => cause instanceof kind), `${error.name} instead of ${kind.name}: ${error.message}`);
}
