// A connection of ethers, the funded account, and the deployed sample.
import { after } from "node:test";
import { ContractFactory, JsonRpcProvider, Wallet } from "ethers";
import { privateKey, rpcUrl, sample } from "../common.mjs";

// ethers keeps answers for 250 ms by default, longer than a block takes here: nonces would be stale.
export const provider = new JsonRpcProvider(rpcUrl, undefined, { cacheTimeout: -1, pollingInterval: 50 });
export const wallet = new Wallet(privateKey, provider);

after(() => provider.destroy());

/** A new sample that begins with the number 7. */
export async function deploy() {
  const factory = new ContractFactory(sample.abi, sample.bytecode, wallet);
  return (await factory.deploy(7)).waitForDeployment();
}
