import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Credentials } from '#cli/credentials.ts';
import type { Run } from '#schemas/run.ts';
import { connectDatabase, type Database } from '#services/database/connect.ts';
import { type PartFacts, readPartFacts } from '#services/embedded/part.ts';
import { type Installation, makeInstallation } from '#tests/chaos/rig/installation.ts';
import { type Caller, type HttpRequest, makeCaller } from './caller.ts';
import { payload, purePlan } from './plans.ts';

/** kOS as `npm start` brings it up (Postgres, Temporal, worker and API are processes of their own), asked over HTTP with the owner's local key. */
export interface Api extends Pick<Caller, 'send' | 'ask'> {
  installation: Installation;
  /** Process id of the API's part. */
  pid: number;
  facts: PartFacts;
  credentials: Credentials;
  /** The workspace of the owner's key. */
  workspaceId: string;
  /** The application's door to the database, from here. */
  database: Database;
  /** The name of a plan with one pure step, 1 kB in and out. */
  plan: string;
  /** Saves a plan. Answers its name. */
  save(source: string): Promise<string>;
  /** A run of that plan, from start to end. Answers its id. */
  run(plan: string): Promise<string>;
  /** Ids of so many runs of the plan with one pure step, all ended. Made once. */
  endedRuns(count: number): Promise<readonly string[]>;
  /** Until every run has ended: the next figure begins with a stack at rest. */
  atRest(): Promise<void>;
  stop(): Promise<void>;
}

/** The start of a run, each a new one. */
export const startOf = (plan: string, headers: Record<string, string> = {}): HttpRequest => ({
  method: 'POST',
  path: '/v1/runs',
  headers: { 'idempotency-key': randomUUID(), ...headers },
  body: JSON.stringify({ plan, input: { payload } }),
});

export async function startApi(): Promise<Api> {
  const folder = await mkdtemp(join(tmpdir(), 'kos-bench-api-'));
  const installation = makeInstallation(join(folder, 'home'));
  try {
    await installation.start();
    return await openApi(installation, folder);
  } catch (error) {
    await installation.stop();
    throw error;
  }
}

async function openApi(installation: Installation, folder: string): Promise<Api> {
  const { home } = installation;
  const credentials = JSON.parse(await readFile(join(home, 'cli.json'), 'utf8')) as Credentials;
  const facts = await readPartFacts(join(home, 'run', 'part-facts.json'));
  const database = connectDatabase(facts.database.app, { max: 4, applicationName: 'kos-bench' });
  const caller = makeCaller(credentials.url, { authorization: `Bearer ${credentials.apiKey}` });
  const { send, ask } = caller;
  const { workspace } = await ask<{ workspace: { id: string } }>({ method: 'GET', path: '/v1/me' });
  const save: Api['save'] = async (source) =>
    (await ask<{ name: string }>({ method: 'POST', path: '/v1/plans', body: JSON.stringify({ source, format: 'yaml' }) })).name;
  const run: Api['run'] = async (plan) => (await ask<Run>(startOf(plan, { prefer: 'wait=60' }))).id;
  const plan = await save(purePlan(1));
  const ended: string[] = [];
  const { pid } = JSON.parse(await readFile(join(home, 'run', 'api.json'), 'utf8')) as { pid: number };
  return {
    installation,
    pid,
    facts,
    credentials,
    workspaceId: workspace.id,
    database,
    send,
    ask,
    plan,
    save,
    run,
    endedRuns: async (count) => {
      while (ended.length < count) ended.push(await run(plan));
      return ended;
    },
    atRest: async () => {
      for (;;) {
        const open = await database.inWorkspace(workspace.id, ({ sql }) => sql`select 1 from kos.runs where finished_at is null and start_at is null limit 1`);
        if (open.length === 0) break;
        await sleep(250);
      }
      await sleep(2_000);
    },
    stop: async () => {
      await Promise.all([caller.close(), database.close()]);
      await installation.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
