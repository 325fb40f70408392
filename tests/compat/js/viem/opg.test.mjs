// viem: the native coin as a token, spent by those whom its owners have signed for: EIP-2612 and EIP-3009.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { ContractFunctionRevertedError, bytesToHex, getContract, parseSignature, toHex } from "viem";
import { generatePrivateKey, privateKeyToAccount, privateKeyToAddress } from "viem/accounts";
import { isReference, opg } from "../common.mjs";
import { account, chain, client, mined, wallet, walletOf } from "./network.mjs";

const FOR_EVER = 2n ** 46n;
const HELD = 100n;
const contract = getContract({ ...opg, client: wallet });
// What a wallet shows its user; the contract tells the same (EIP-5267).
const domain = { name: "OpenGradient", version: "1", chainId: chain.id, verifyingContract: opg.address };
const options = { skip: isReference };

/** A new account that holds a little coin, and whose owner pays no gas. */
async function holder() {
  const owner = privateKeyToAccount(generatePrivateKey());
  await mined(contract.write.transfer([owner.address, HELD]));
  return owner;
}

/** Signs a message whose fields and types are given as `{ field: [type, value] }`. */
async function sign(owner, primaryType, fields) {
  const entries = Object.entries(fields);
  const types = { [primaryType]: entries.map(([name, [type]]) => ({ name, type })) };
  const message = Object.fromEntries(entries.map(([name, [, value]]) => [name, value]));
  return walletOf(owner).signTypedData({ domain, types, primaryType, message });
}

/** The custom error with which a call fails. */
async function refusal(call) {
  const error = await call.then(
    () => assert.fail("it was not refused"),
    (error) => error.walk((cause) => cause instanceof ContractFunctionRevertedError),
  );
  return error?.data?.errorName;
}

test("OPG tells the domain of its signatures", options, async () => {
  const { name, version, chainId, verifyingContract } = (await client.getEip712Domain({ address: opg.address })).domain;
  assert.deepEqual({ name, version, chainId, verifyingContract: verifyingContract.toLowerCase() }, domain);
});

test("a permit lets its spender spend, once: EIP-2612", options, async () => {
  const owner = await holder();
  const receiver = privateKeyToAddress(generatePrivateKey());
  const permit = async (value, deadline) => {
    const signature = await sign(owner, "Permit", {
      owner: ["address", owner.address],
      spender: ["address", account.address],
      value: ["uint256", value],
      nonce: ["uint256", await contract.read.nonces([owner.address])],
      deadline: ["uint256", deadline],
    });
    const { r, s, v } = parseSignature(signature);
    return [owner.address, account.address, value, deadline, Number(v), r, s];
  };
  const signed = await permit(60n, FOR_EVER);
  await mined(contract.write.permit(signed));
  assert.equal(await contract.read.allowance([owner.address, account.address]), 60n);
  const receipt = await mined(contract.write.transferFrom([owner.address, receiver, 60n]));
  assert.equal(receipt.logs.length, 1);
  assert.equal(await client.getBalance({ address: receiver }), 60n);
  assert.equal(await client.getBalance({ address: owner.address }), HELD - 60n);
  assert.equal(await contract.read.nonces([owner.address]), 1n);
  assert.equal(await refusal(contract.simulate.permit(signed)), "ERC2612InvalidSigner");
  assert.equal(await refusal(contract.simulate.permit(await permit(1n, 1n))), "ERC2612ExpiredSignature");
  assert.equal(await refusal(contract.simulate.transferFrom([owner.address, receiver, 1n])), "ERC20InsufficientAllowance");
});

test("an authorization moves coin of who signed it, once: EIP-3009", options, async () => {
  const owner = await holder();
  const receiver = privateKeyToAddress(generatePrivateKey());
  const nonce = bytesToHex(randomBytes(32));
  const authorize = (value, validBefore = FOR_EVER) =>
    sign(owner, "TransferWithAuthorization", {
      from: ["address", owner.address],
      to: ["address", receiver],
      value: ["uint256", value],
      validAfter: ["uint256", 0n],
      validBefore: ["uint256", validBefore],
      nonce: ["bytes32", nonce],
    });
  const hand = (value, validBefore, ...signature) => [owner.address, receiver, value, 0n, validBefore, nonce, ...signature];
  const { r, s, v } = parseSignature(await authorize(40n));
  const signed = hand(40n, FOR_EVER, Number(v), r, s);
  const { transferWithAuthorization } = contract.simulate;
  assert.equal(await refusal(transferWithAuthorization(hand(41n, FOR_EVER, Number(v), r, s))), "ERC3009InvalidSignature");
  assert.equal(await refusal(transferWithAuthorization(hand(1n, 1n, await authorize(1n, 1n)))), "ERC3009InvalidAuthorizationTime");
  await mined(contract.write.transferWithAuthorization(signed));
  assert.equal(await client.getBalance({ address: receiver }), 40n);
  assert.equal(await client.getBalance({ address: owner.address }), HELD - 40n);
  assert.equal(await contract.read.authorizationState([owner.address, nonce]), true);
  assert.equal(await refusal(transferWithAuthorization(signed)), "ERC3009UsedAuthorization");
});

test("an authorization that its receiver hands in, with a signature in one piece", options, async () => {
  const owner = await holder();
  const nonce = toHex(7, { size: 32 });
  const signature = await sign(owner, "ReceiveWithAuthorization", {
    from: ["address", owner.address],
    to: ["address", account.address],
    value: ["uint256", 5n],
    validAfter: ["uint256", 0n],
    validBefore: ["uint256", FOR_EVER],
    nonce: ["bytes32", nonce],
  });
  const { logs } = await mined(
    contract.write.receiveWithAuthorization([owner.address, account.address, 5n, 0n, FOR_EVER, nonce, signature]),
  );
  // That the authorization is used, and the transfer.
  assert.equal(logs.length, 2);
  assert.equal(await contract.read.balanceOf([owner.address]), HELD - 5n);
});
