// Runs the tests and writes REPORT.md: what they cover, and the gas of each function.
//
//   npm run report               write the report
//   npm run report -- --check    fail if the committed report is not what the tests give
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

// Functions that move coin call a precompile that forge lacks, so that its figures would be those of
// the tests' stand-in. The chain's own are in docs/contracts.md.
const MOVES_COIN = /^(transfer|receive)/;

function forge(...options) {
  return execFileSync("forge", options, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
}

/** Lines of a Markdown table. */
function table(header, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(header), line(header.map(() => "---")), ...rows.map(line)];
}

function coverage() {
  const file = "cache/lcov.info";
  mkdirSync("cache", { recursive: true });
  forge("coverage", "--report", "lcov", "--report-file", file);
  const count = (section, name) => Number(section.match(new RegExp(`^${name}:(\\d+)$`, "m"))?.[1] ?? 0);
  return readFileSync(file, "utf8")
    .split("end_of_record\n")
    .map((section) => [section.match(/^SF:(.*)$/m)?.[1], section])
    .filter(([path]) => path?.startsWith("src/"))
    .map(([path, section]) => [
      path,
      ...["L", "BR", "FN"].map((kind) => {
        const [hit, found] = kind === "FN" ? ["FNH", "FNF"] : [`${kind}H`, `${kind}F`];
        return `${count(section, hit)} of ${count(section, found)}`;
      }),
    ]);
}

function gas() {
  return JSON.parse(forge("test", "--gas-report", "--json"))
    .filter(({ contract }) => contract.startsWith("src/"))
    .flatMap(({ contract, functions }) =>
      Object.entries(functions)
        .filter(([signature]) => !MOVES_COIN.test(signature))
        .map(([signature, { min, median, max }]) => [contract.split(":")[1], `\`${signature}\``, min, median, max]),
    );
}

const report = [
  "# Coverage and gas of the system contracts",
  "",
  "Written by `npm run report`. The chain's own tests (`crates/chain/src/tests`) exercise the same",
  "contracts through its EVM and its precompile and are not counted here.",
  "",
  "## Coverage",
  "",
  ...table(["file", "lines", "branches", "functions"], coverage()),
  "",
  "## Gas",
  "",
  "Of the tests' calls, failing ones included. A call that may change state counts as a transaction, with the 21,000",
  "and the input that this costs; a view does not. Functions that move coin are left out: `docs/contracts.md` has",
  "their gas on the chain.",
  "",
  ...table(["contract", "function", "least", "median", "most"], gas()),
  "",
].join("\n");
const url = new URL("REPORT.md", import.meta.url);
if (!process.argv.includes("--check")) {
  writeFileSync(url, report);
} else if (readFileSync(url, "utf8") !== report) {
  console.error("REPORT.md is not what the tests give: run npm run report");
  process.exitCode = 1;
}
