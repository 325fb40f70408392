#!/usr/bin/env node
// The npm compiler under the command line that forge expects of a native solc: `--version` and
// `--standard-json` are all that forge asks for.
import { readFileSync } from "node:fs";
import solc from "solc";

if (process.argv.includes("--version")) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`);
} else {
  process.stdout.write(solc.compile(readFileSync(0, "utf8")));
}
