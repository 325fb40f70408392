// Compiles the system contracts and the tests' fixtures, and writes their artifacts.
//
//   npm ci && npm run build     write the artifacts
//   npm ci && npm run check     fail if the committed artifacts are not what the sources compile to
import { readFileSync, writeFileSync } from "node:fs";
import solc from "solc";

const SETTINGS = {
  optimizer: { enabled: true, runs: 200 },
  evmVersion: "osaka",
  // No metadata hash: the code depends on the code alone, not on comments or paths.
  metadata: { appendCBOR: false, bytecodeHash: "none" },
};

// What Rust includes of each contract: creation code where a constructor has to run, for its
// arguments, immutables or storage; otherwise the runtime code as it is.
const CONTRACTS = {
  "src/Registry.sol": "runtime",
  "src/OPG.sol": "creation",
  "src/Multicall3.sol": "creation",
  "src/TEERegistry.sol": "creation",
  "fixtures/PlainToken.sol": "creation",
  "fixtures/Wallet.sol": "creation",
};

function compile() {
  const sources = Object.keys(CONTRACTS).map((path) => [path, { content: read(path) }]);
  const input = {
    language: "Solidity",
    sources: Object.fromEntries(sources),
    settings: {
      ...SETTINGS,
      outputSelection: {
        "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "storageLayout"] },
      },
    },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: findImport }));
  if (output.errors?.length) {
    throw new Error(output.errors.map((error) => error.formattedMessage).join("\n"));
  }
  return output.contracts;
}

/** From path to content: NAME.json for people and tools, and the bare code for Rust to include. */
function artifacts(path, contract, kind) {
  const name = path.replace(/^.*\/|\.sol$/g, "");
  const code = { creation: contract.evm.bytecode.object, runtime: contract.evm.deployedBytecode.object }[kind];
  const binary = [`${name}.${kind}.bin`, Buffer.from(code, "hex")];
  if (path.startsWith("fixtures/")) {
    return [[`fixtures/${binary[0]}`, binary[1]]];
  }
  const artifact = {
    contract: name,
    solc: solc.version(),
    settings: SETTINGS,
    abi: contract.abi,
    storage: contract.storageLayout.storage.map(({ label, slot, offset, type }) => ({ label, slot, offset, type })),
    [`${kind}Bytecode`]: `0x${code}`,
  };
  return [[`${name}.json`, Buffer.from(`${JSON.stringify(artifact, null, 2)}\n`)], binary];
}

/** Answers the compiler's request for an imported file: ours, or a package's. */
function findImport(path) {
  try {
    return { contents: read(path.startsWith("@") ? `node_modules/${path}` : path) };
  } catch (error) {
    return { error: error.message };
  }
}

function read(path) {
  return readFileSync(new URL(path, import.meta.url), "utf8");
}

const compiled = compile();
const files = Object.entries(CONTRACTS).flatMap(([path, kind]) =>
  artifacts(path, Object.values(compiled[path])[0], kind),
);
const check = process.argv.includes("--check");
for (const [name, content] of files) {
  const url = new URL(`artifacts/${name}`, import.meta.url);
  if (!check) {
    writeFileSync(url, content);
  } else if (!content.equals(readFileSync(url))) {
    console.error(`artifacts/${name} is not what the sources compile to: run npm run build`);
    process.exitCode = 1;
  }
}
