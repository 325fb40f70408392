// Foundry's forge: a contract compiled, deployed and scripted.
import assert from "node:assert/strict";
import { test } from "node:test";
import { rpcUrl } from "../common.mjs";
import { SIGN, cast, forge } from "./tools.mjs";

test("forge create deploys", async () => {
  const created = await forge("create", "--json", "--broadcast", ...SIGN, "Sample", "--constructor-args", 7);
  const { deployedTo } = JSON.parse(created.slice(created.indexOf("{")));
  assert.equal(await cast("call", deployedTo, "number()(uint256)"), "7");
});

test("forge script --broadcast deploys and changes", async () => {
  const printed = await forge("script", "Deploy.s.sol", "--rpc-url", rpcUrl, "--broadcast", ...SIGN);
  assert.match(printed, /ONCHAIN EXECUTION COMPLETE & SUCCESSFUL/);
  const [, address] = printed.match(/contract Sample (0x[0-9a-fA-F]{40})/);
  assert.equal(await cast("call", address, "number()(uint256)"), "8");
});
