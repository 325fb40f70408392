// viem: news over a WebSocket, and the same client over it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createPublicClient, webSocket } from "viem";
import { WAIT_MS, chainId, sample, wsUrl } from "../common.mjs";
import { chain, deploy, wallet } from "./network.mjs";

test("blocks, logs and waiting transactions are told", { timeout: WAIT_MS }, async (context) => {
  const address = await deploy();
  const client = createPublicClient({ chain, transport: webSocket(wsUrl, { keepAlive: false, reconnect: false }) });
  const { close } = await client.transport.getRpcClient();
  context.after(() => close());
  assert.equal(await client.getChainId(), chainId);
  const stops = [];
  /** The first news for which `isMeant` holds. */
  const first = (watch, isMeant) =>
    new Promise((resolve, reject) => stops.push(watch((news) => isMeant(news) && resolve(news), reject)));

  let sent;
  const waiting = first(
    (onTransactions, onError) => client.watchPendingTransactions({ onTransactions, onError }),
    (hashes) => sent === undefined || hashes.includes(sent),
  );
  const logs = first(
    (onLogs, onError) => client.watchContractEvent({ abi: sample.abi, address, eventName: "NumberChanged", onLogs, onError }),
    () => true,
  );
  const block = first((onBlock, onError) => client.watchBlocks({ onBlock, onError }), () => true);
  // An answered call shows that the subscriptions before it stand.
  await client.getBlockNumber();
  sent = await wallet.writeContract({ abi: sample.abi, address, functionName: "setNumber", args: [500n, "told"] });
  const [log] = await logs;
  assert.deepEqual([log.transactionHash, log.args.note], [sent, "told"]);
  assert.ok((await block).number > 0n);
  assert.ok((await waiting).length > 0);
  for (const stop of stops) stop();
});
