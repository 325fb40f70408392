// Compiles the system contracts and writes artifacts/NAME.json and artifacts/NAME.hex.
//
//   npm ci && npm run build     write the artifacts
//   npm ci && npm run check     fail if the committed artifacts are not what the source compiles to
import { readFileSync, writeFileSync } from "node:fs";
import solc from "solc";

const SETTINGS = {
  optimizer: { enabled: true, runs: 200 },
  evmVersion: "osaka",
  // No metadata hash: the code depends on the code alone, not on comments or paths.
  metadata: { appendCBOR: false, bytecodeHash: "none" },
};

function compile(name) {
  const file = `${name}.sol`;
  const source = readFileSync(new URL(file, import.meta.url), "utf8");
  const input = {
    language: "Solidity",
    sources: { [file]: { content: source } },
    settings: {
      ...SETTINGS,
      outputSelection: { [file]: { [name]: ["abi", "evm.deployedBytecode.object", "storageLayout"] } },
    },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  if (output.errors?.length) {
    throw new Error(output.errors.map((error) => error.formattedMessage).join("\n"));
  }
  const contract = output.contracts[file][name];
  const artifact = {
    contract: name,
    solc: solc.version(),
    settings: SETTINGS,
    abi: contract.abi,
    storage: contract.storageLayout.storage.map(({ label, slot, offset, type }) => ({ label, slot, offset, type })),
    runtimeBytecode: `0x${contract.evm.deployedBytecode.object}`,
  };
  return {
    [`artifacts/${name}.json`]: `${JSON.stringify(artifact, null, 2)}\n`,
    // The same code for inclusion in Rust.
    [`artifacts/${name}.hex`]: `${contract.evm.deployedBytecode.object}`,
  };
}

const check = process.argv.includes("--check");
let stale = false;
for (const [path, content] of Object.entries(compile("Registry"))) {
  const url = new URL(path, import.meta.url);
  if (!check) {
    writeFileSync(url, content);
  } else if (readFileSync(url, "utf8") !== content) {
    console.error(`${path} is not what the source compiles to: run npm run build`);
    stale = true;
  }
}
process.exit(stale ? 1 : 0);
