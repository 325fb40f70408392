// What all tests need: where the network is, whose money they spend, and the compiled sample.
import { readFileSync } from "node:fs";

function variable(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: see ../README.md`);
  return value;
}

export const rpcUrl = variable("RPC_URL");
export const wsUrl = variable("WS_URL");
export const chainId = Number(variable("CHAIN_ID"));
export const privateKey = variable("PRIVATE_KEY");
/** The reason to skip what the reference does otherwise, or false. */
export const isReference = "REFERENCE" in process.env && "the reference does otherwise";

/** ABI and bytecode of ../contracts/Sample.sol. */
export const sample = JSON.parse(readFileSync(new URL("../build/Sample.json", import.meta.url), "utf8"));

/** The native coin as a token: ABI and address. */
export const opg = {
  abi: JSON.parse(readFileSync(new URL("../../../contracts/artifacts/OPG.json", import.meta.url), "utf8")).abi,
  address: "0x0000000000000000000000000000000000000a02",
};

/** Fails if a promise takes longer than this: what is awaited never came. */
export const WAIT_MS = 20_000;

/** A private key that nobody has used. */
export function freshKey() {
  return `0x${Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("hex")}`;
}
