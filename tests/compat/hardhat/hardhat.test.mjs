// Hardhat: a newcomer's project from its own template is built, tested, deployed and talked to; only the URL and the key are ours.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFile, rm, mkdir, writeFile } from "node:fs/promises";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";

const TEMPLATE = "node-test-runner-viem";
/** The template's network for deployments: it takes URL and key from the environment. */
const NETWORK = "sepolia";
const project = fileURLToPath(new URL("project/", import.meta.url));
const modules = new URL("node_modules/", import.meta.url);

before(async () => {
  await rm(project, { recursive: true, force: true });
  await mkdir(project, { recursive: true });
  // What `npx hardhat --init` does when one says no to installing packages: they are installed already, pinned.
  await run(["--input-type=module", "--eval", `
    import { initHardhat } from ${JSON.stringify(new URL("hardhat/dist/src/internal/cli/init/init.js", modules).href)};
    await initHardhat({ workspace: process.cwd(), template: "${TEMPLATE}", force: true, install: false, migrateToEsm: true });
  `]);
  // Solidity tests run inside Hardhat, not on a network, and this one needs a package from GitHub.
  await rm(`${project}contracts/Counter.t.sol`);
  // npm's compiler, of the same version, instead of one that would be downloaded.
  const path = `${project}hardhat.config.ts`;
  const solc = fileURLToPath(new URL("solc/soljson.js", modules));
  const config = await readFile(path, "utf8");
  await writeFile(path, config.replaceAll(/version: "[0-9.]+",/g, (version) => `${version} path: ${JSON.stringify(solc)},`));
});

test("it builds", async () => {
  assert.match(await hardhat(["build"]), /Compiled 1 Solidity file/);
});

test("its tests pass against the network", async () => {
  const printed = await hardhat(["test", "--network", NETWORK]);
  assert.match(printed, /2 passing/);
});

test("it deploys", async () => {
  const printed = await hardhat(["ignition", "deploy", "ignition/modules/Counter.ts", "--network", NETWORK]);
  assert.match(printed, /CounterModule#Counter - 0x[0-9a-fA-F]{40}/);
});

test("a script deploys right after a transaction", async () => {
  await writeFile(`${project}scripts/deploy.ts`, `
    import { network } from "hardhat";
    import CounterModule from "../ignition/modules/Counter.js";

    const { viem, ignition } = await network.create();
    await viem.deployContract("Counter");
    const { counter } = await ignition.deploy(CounterModule);
    console.log("x is", await counter.read.x());
  `);
  assert.match(await hardhat(["run", "scripts/deploy.ts", "--network", NETWORK]), /x is 5n/);
});

test("its console talks to the network", async () => {
  // In one line: the console does not wait for one before it reads the next.
  const typed = `
    const { viem } = await network.create();
    const counter = await viem.deployContract("Counter");
    console.log("x is", await counter.read.x(), "in block", (await (await viem.getPublicClient()).getBlockNumber()) > 0n);
  `.replaceAll("\n", " ");
  assert.match(await hardhat(["console", "--network", NETWORK], `${typed}\n`), /x is 0n in block true/);
});

/** `npx hardhat WORDS`; gives what it prints. */
function hardhat(words, typed) {
  return run([fileURLToPath(new URL("hardhat/dist/src/cli.js", modules)), ...words], typed);
}

/** Runs Node in the project's folder; fails with all that was printed unless it exits with 0. */
function run(words, typed = "") {
  const env = {
    ...process.env,
    SEPOLIA_RPC_URL: process.env.RPC_URL,
    SEPOLIA_PRIVATE_KEY: process.env.PRIVATE_KEY,
    HARDHAT_DISABLE_TELEMETRY_PROMPT: "true",
    HARDHAT_IGNITION_CONFIRM_DEPLOYMENT: "false",
    NODE_TEST_CONTEXT: undefined,
  };
  const child = spawn(process.execPath, words, { cwd: project, env, timeout: 90_000 });
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (printed += data));
  child.stdin.end(typed);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve(printed) : reject(new Error(`exit code ${code}: ${printed}`))));
  });
}
