// Running Foundry's programs as a user does at a prompt.
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { privateKey, rpcUrl } from "../common.mjs";

const run = promisify(execFile);
// Where the compiler is that ../../contracts/foundry.toml names.
const PACKAGES = fileURLToPath(new URL("../node_modules/", import.meta.url));
const OPTIONS = {
  // The folder of the forge project.
  cwd: fileURLToPath(new URL("../../contracts/", import.meta.url)),
  env: { ...process.env, ETH_RPC_URL: rpcUrl, NODE_PATH: PACKAGES },
  timeout: 60_000,
  maxBuffer: 16 * 1024 * 1024,
};

function program(name) {
  // Not through the package's script: that one exits with 0 whatever the program says.
  const architecture = { x64: "amd64" }[process.arch] ?? process.arch;
  const path = createRequire(import.meta.url).resolve(`@foundry-rs/${name}-${process.platform}-${architecture}/bin/${name}`);
  return async (...words) => (await run(path, words.map(String), OPTIONS)).stdout.trim();
}

/** `cast WORDS...`; gives what it prints. */
export const cast = program("cast");
/** `forge WORDS...`; gives what it prints. */
export const forge = program("forge");
/** The option that signs with the funded account. */
export const SIGN = ["--private-key", privateKey];

/** `cast send WORDS...` with the funded account; gives the receipt. */
export async function send(...words) {
  return JSON.parse(await cast("send", "--json", ...SIGN, ...words));
}
