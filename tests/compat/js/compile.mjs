// Compiles ../contracts/Sample.sol to ../build/Sample.json (ABI and bytecode), for all clients that do not compile themselves.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import solc from "solc";

const input = {
  language: "Solidity",
  sources: { "Sample.sol": { content: readFileSync(new URL("../contracts/Sample.sol", import.meta.url), "utf8") } },
  settings: {
    optimizer: { enabled: true, runs: 200 },
    evmVersion: "osaka",
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input)));
if (output.errors?.length) {
  throw new Error(output.errors.map((error) => error.formattedMessage).join("\n"));
}
const { abi, evm } = output.contracts["Sample.sol"].Sample;
const artifact = { abi, bytecode: `0x${evm.bytecode.object}`, deployedBytecode: `0x${evm.deployedBytecode.object}` };
mkdirSync(new URL("../build/", import.meta.url), { recursive: true });
writeFileSync(new URL("../build/Sample.json", import.meta.url), `${JSON.stringify(artifact, null, 2)}\n`);
