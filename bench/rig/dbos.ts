import { join } from 'node:path';
import { environment, projectRoot } from '#config';
import type { PostgresFacts } from '#services/embedded/postgres-server.ts';
import { payload } from './plans.ts';
import { startProgram } from './program.ts';

export interface Dbos {
  /** `count` steps in a row, start to result of the workflow, ms. */
  spanMs(count: number): Promise<number>;
  stop(): Promise<void>;
}

/** DBOS on the stack's own Postgres server, in a database of its own: the reference for what steps cost without Temporal. */
export async function startDbos(postgres: PostgresFacts, workerFlags: readonly string[]): Promise<Dbos> {
  const waiting = new Map<number, (spanMs: number) => void>();
  let asked = 0;
  const program = await startProgram({
    name: 'DBOS worker',
    args: [...workerFlags, join(projectRoot, 'bench', 'floor', 'dbos.ts'), databaseUrl(postgres)],
    env: environment,
    ready: 'dbos: ready',
    onMessage: (message) => {
      // Signs of life are no answers.
      if (typeof message !== 'object' || message === null || !('id' in message)) return;
      const { id, spanMs } = message as { id: number; spanMs: number };
      waiting.get(id)?.(spanMs);
      waiting.delete(id);
    },
  });
  return {
    spanMs: (count) =>
      new Promise((resolve) => {
        asked += 1;
        waiting.set(asked, resolve);
        program.send({ id: asked, count, payload });
      }),
    stop: () => program.stop(),
  };
}

/** The server listens on a Unix socket where it can: `pg` takes the folder from the query. */
function databaseUrl({ host, port, user, password }: PostgresFacts): string {
  const url = new URL(`postgresql://localhost:${port}/kos_bench_dbos?sslmode=disable`);
  url.username = user;
  url.password = password;
  url.searchParams.set('host', host);
  return url.href;
}
