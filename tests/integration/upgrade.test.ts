import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readRun, waitForEnds } from '#tests/chaos/rig/ends.ts';
import { type Installation, makeInstallation, partNames } from '#tests/chaos/rig/installation.ts';
import { type Load, startLoad } from '#tests/chaos/rig/load.ts';
import { approve, untilAsked } from '#tests/chaos/rig/people.ts';
import { chaosPlans } from '#tests/chaos/rig/plans.ts';
import { openSink, type Sink } from '#tests/chaos/rig/sink.ts';
import { judge, judgeRecord } from '#tests/chaos/rig/verdict.ts';
import { findRelease, readPreviousRelease, unpackRelease } from '#tests/upgrade/previous-release.ts';

const release = readPreviousRelease();
/** An error is thrown inside the test: a checkout that holds half of its history fails it, and is told the remedy. */
const code = await findRelease(release).catch((error: Error) => error);
const ran = code === null ? 'not run: this folder is no checkout of git' : code instanceof Error ? 'not found' : code.by;

describe.skipIf(code === null)(`runs that release ${release.version} (${ran}) started`, () => {
  let folder: string | undefined;
  let before: Installation;
  let after: Installation;
  let sink: Sink;

  beforeAll(async () => {
    if (code === null || code instanceof Error) throw code ?? new Error(ran);
    folder = await mkdtemp(join(tmpdir(), 'kos-upgrade-'));
    const root = join(folder, 'previous');
    await unpackRelease(code, root);
    const command = [process.execPath, join('workers', 'supervisor.ts'), '--port', '0'] as const;
    before = makeInstallation(join(folder, 'home'), { root, command });
    after = makeInstallation(join(folder, 'home'), { command });
    sink = await openSink();
  });

  afterAll(async () => {
    if (folder === undefined) return;
    await after.stop();
    await sink.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('finish on this release, however abruptly the other one ended', async () => {
    await before.start();
    await before.patiently(async (client) => {
      const { value, etag } = await client.settings.get();
      await client.settings.change({ egress: [...value.egress, sink.authority] }, etag);
    });
    for (const source of Object.values(chaosPlans)) await before.patiently((client) => client.plans.save({ source, format: 'yaml' }));
    const parked = await startLoad(before, sink, { kind: 'approval' });
    const approvalId = await untilAsked(before, parked.runId);
    const working = [
      await startLoad(before, sink, { kind: 'timer', forMs: 8_000 }),
      await startLoad(before, sink, { kind: 'chain' }),
      await startLoad(before, sink, { kind: 'fetch', count: 150 }),
    ];
    await untilUnderWay(sink, working);
    await before.kill(partNames);

    await after.start();
    await approve(after, approvalId);
    const loads = [parked, ...working];
    const unfinished = await waitForEnds(after, sink, loads);
    const verdict = await judge(after, sink, loads);
    expect(await Promise.all(unfinished.map(async ({ kind, runId }) => `${kind} is ${(await readRun(after, runId)).status}`))).toEqual([]);
    expect([...verdict.faults, ...(await judgeRecord(after))]).toEqual([]);
    expect(verdict).toMatchObject({ runs: loads.length, missing: 0, doubled: 0, attemptsSpent: 0 });
    // They keep the decisions they were started with; a run of this release has today's.
    const rules = await after.query<{ rules: number }>((sql) => sql`select distinct rules from kos.runs where id in ${sql(loads.map(({ runId }) => runId))}`);
    expect(rules).toEqual([{ rules: release.rules }]);
  });
});

/** Until the chain and the items have done some of their work, and not all. */
async function untilUnderWay(sink: Sink, loads: readonly Load[]): Promise<void> {
  for (const { kind, runId } of loads.filter((load) => load.kind === 'chain' || load.kind === 'fetch')) {
    for (let waits = 0; sink.calls(`/${kind}/${runId}/`).size < 5; waits += 1) {
      if (waits > 600) throw new Error(`${kind} ${runId} did not begin.`);
      await sleep(50);
    }
  }
}
