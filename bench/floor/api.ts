import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import express from 'express';
import postgres from 'postgres';
import type { TransactionSql } from '#services/database/connect.ts';
import { endWithSupervisor, readPartFacts } from '#services/embedded/part.ts';
import { listRuns, readRun } from '#services/runs/read.ts';

/**
 * `node api.ts FACTS WORKSPACE`: two of the product's handlers as somebody would write them by hand, with Express and postgres alone. The same statements and rows, in a
 * transaction as the same role bound to the workspace for row security; nobody is asked who they are. It tells its port in a message.
 */
const [, , factsFile, workspaceId = ''] = process.argv;
const { database } = await readPartFacts(factsFile);
const { host, port, database: name, user, password } = database.app;
const connections = 8;
const sql = postgres({
  host,
  port,
  database: name,
  user,
  password,
  max: connections,
  types: { bigint: { to: 20, from: [20], serialize: String, parse: Number } },
});

const inWorkspace = <Result>(work: (transaction: TransactionSql) => Promise<Result>) =>
  sql.begin(async (transaction) => {
    await transaction`select set_config('kos.workspace_id', ${workspaceId}, true)`;
    return work(transaction);
  });
const commit = (): void => undefined;

const app = express();
app.get('/v1/runs', async (request, response) => {
  const filter = { statuses: null, plan: null, labels: {}, parent: null, cursor: null, limit: Number(request.query['limit']) };
  response.json(await inWorkspace((transaction) => listRuns({ sql: transaction, commit }, filter)));
});
app.get('/v1/runs/:id', async (request, response) => {
  response.json(await inWorkspace((transaction) => readRun({ sql: transaction, commit }, request.params.id)));
});
const server = app.listen(0, '127.0.0.1');
await once(server, 'listening');
endWithSupervisor(async () => {
  server.close();
  server.closeAllConnections();
  await sql.end({ timeout: 2 });
}, 3_000);
process.send?.({ port: (server.address() as AddressInfo).port });
console.log('floor: listening');
