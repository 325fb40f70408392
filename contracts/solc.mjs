#!/usr/bin/env node
// npm's compiler with the command line of the native one, as far as forge uses it: --version, and --standard-json.
// It is the package installed here, or else one in a folder that NODE_PATH names.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const solc = createRequire(import.meta.url)("solc");

if (process.argv.includes("--version")) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`);
} else if (process.argv.includes("--standard-json")) {
  console.log(solc.compile(readFileSync(0, "utf8")));
} else {
  console.error(`only --version and --standard-json are understood, not: ${process.argv.slice(2).join(" ")}`);
  process.exitCode = 1;
}
