// Connections of viem, the funded account, and the deployed sample.
import { createPublicClient, createWalletClient, defineChain, http, publicActions } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { chainId, privateKey, rpcUrl, sample } from "../common.mjs";

/** The chain as an application describes it, Multicall3 at its usual address included. */
export const chain = defineChain({
  id: chainId,
  name: "og",
  nativeCurrency: { name: "OPG", symbol: "OPG", decimals: 18 },
  rpcUrls: { default: { http: [rpcUrl] } },
  contracts: { multicall3: { address: "0xcA11bde05977b3631167028862bE2a173976CA11" } },
});

const options = { chain, transport: http(), pollingInterval: 50, cacheTime: 0 };

export const client = createPublicClient(options);
/** A client that also signs for an account, the funded one by default. */
export const walletOf = (account) => createWalletClient({ ...options, account }).extend(publicActions);
export const account = privateKeyToAccount(privateKey);
export const wallet = walletOf(account);

/** Waits for the receipt of a transaction. */
export async function mined(hash) {
  return client.waitForTransactionReceipt({ hash: await hash, timeout: 20_000 });
}

/** The address of a new sample that begins with the number 7. */
export async function deploy() {
  const receipt = await mined(wallet.deployContract({ ...sample, args: [7n] }));
  return receipt.contractAddress;
}
