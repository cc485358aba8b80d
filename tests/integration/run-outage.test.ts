import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { environment, readConfiguration } from '#config';
import { reconcile } from '#services/duties/reconciler.ts';
import { startPostgres } from '#services/embedded/postgres-server.ts';
import { findTemporalBinary } from '#services/embedded/temporal-binary.ts';
import { startTemporal } from '#services/embedded/temporal-server.ts';
import { prepareTemplate } from '#tests/rig/database-template.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

/** How long a server is away, ms. */
const awayMs = 20_000;
const quiet = (): void => undefined;

let home: string;
let postgres: Awaited<ReturnType<typeof startPostgres>>;
let temporal: Awaited<ReturnType<typeof startTemporal>>;
let engine: TestEngine;

const bringUpPostgres = () => startPostgres({ home, onLine: quiet, say: quiet, durable: false });
const bringUpTemporal = async () => {
  const binary = await findTemporalBinary({ cache: readConfiguration(environment).cache, environment, say: quiet });
  return await startTemporal({ home, binary, namespace: 'default', onLine: quiet, say: quiet, durable: false });
};

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'kos-outage-'));
  [postgres, temporal] = await Promise.all([bringUpPostgres(), bringUpTemporal()]);
  const { address, namespace } = temporal.facts;
  const template = await prepareTemplate(postgres.facts, home);
  engine = await makeTestEngine({ reconciler: false, servers: { postgres: postgres.facts, template, temporal: { address, namespace } } });
});
afterAll(async () => {
  await engine.close();
  await Promise.all([postgres.stop(), temporal.stop()]);
  await rm(home, { recursive: true, force: true });
});

/** Idempotent items, an effect that is under way when the server goes, one that outlasts the outage, and a wait that ends in it. */
const plan = (name: string): string => `
plan: ${name}
steps:
  items: { tool: test.repeat, with: { file: "${engine.home}/${name}-items.txt", waitMs: 150 }, forEach: "\${range(300)}", concurrency: 10, retry: { maxAttempts: 1 } }
  short: { tool: test.append, with: { file: "${engine.home}/${name}-short.txt", waitMs: 3000 }, retry: { maxAttempts: 1 } }
  long: { tool: test.append, with: { file: "${engine.home}/${name}-long.txt", waitMs: ${awayMs + 6_000} }, retry: { maxAttempts: 1 } }
  pause: { wait: { forMs: 4000 } }
output: "\${size(steps.items.output)}"
`;

async function expectToSurvive(name: string, outage: () => Promise<void>): Promise<void> {
  const runId = await engine.start(await engine.save(plan(name)));
  await expect.poll(() => engine.linesOf(`${name}-items.txt`).then((lines) => lines.length), { timeout: 240_000 }).toBeGreaterThan(20);
  await expect.poll(() => engine.linesOf(`${name}-long.txt`)).toHaveLength(1);
  await outage();
  expect(await engine.ended(runId)).toMatchObject({ error: null, status: 'succeeded', output: 300 });
  expect((await engine.steps(runId)).filter(({ attempt }) => attempt !== 1)).toEqual([]);
  expect(await engine.linesOf(`${name}-short.txt`)).toEqual([`${runId}/short`]);
  expect(await engine.linesOf(`${name}-long.txt`)).toEqual([`${runId}/long`]);
  expect(new Set(await engine.linesOf(`${name}-items.txt`)).size).toBe(300);
}

describe('a run goes on, no attempt of a step is spent and no effect doubled, when', () => {
  it('the database is gone for 20 s', async () => {
    await expectToSurvive('database-gone', async () => {
      await postgres.stop();
      await sleep(awayMs);
      postgres = await bringUpPostgres();
    });
  });

  it('Temporal is gone for 20 s', async () => {
    await expectToSurvive('temporal-gone', async () => {
      await temporal.stop();
      await sleep(awayMs);
      temporal = await bringUpTemporal();
    });
  });

  it("Temporal's store is gone for good", async () => {
    const file = join(engine.home, 'store-gone.txt');
    const source = `
plan: store-gone
steps:
  first: { tool: test.append, with: { file: "${file}" } }
  pause: { wait: { forMs: 2000 }, needs: [first] }
  second: { tool: test.append, with: { file: "${file}" }, needs: [pause] }
  items: { transform: "\${item + 1}", forEach: "\${range(3)}", needs: [second] }
output: "\${steps.items.output}"
`;
    const runId = await engine.start(await engine.save(source));
    await engine.until(runId, (run) => run.status === 'waiting');
    await temporal.stop();
    await rm(join(home, 'temporal'), { recursive: true, force: true });
    temporal = await bringUpTemporal();
    await engine.rig.system.sql`update kos.runs set created_at = created_at - interval '1 minute' where id = ${runId}`;
    await reconcile({ system: engine.rig.system, workflows: engine.workflows, log: engine.log });
    expect(await engine.ended(runId)).toMatchObject({ error: null, status: 'succeeded', output: [1, 2, 3] });
    expect(await engine.linesOf('store-gone.txt')).toEqual([`${runId}/first`, `${runId}/second`]);
    expect(await engine.audit(runId)).toContainEqual(expect.objectContaining({ action: 'run.resume' }));
  });
});
